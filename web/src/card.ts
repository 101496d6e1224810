// One device in the grid: its name, its newest values, its chart of the last minutes.
import { formatNumber, formatSpan, formatValue, lookOf } from './format';
import type { Device } from './model';
import { Sparkline, type Palette } from './sparkline';

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K, className = '', text = '',
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

const chipsMax = 5;
const silentMs = 30_000;

/** What kind of thing it seems to be, from what it measures. */
function kindOf(device: Device): string {
  if (device.series.has('wind') || device.series.has('pressure')) return 'Weather station';
  if (device.series.has('door') || device.series.has('compressor')) return 'Refrigerator';
  return device.tags['kind'] ?? 'Device';
}

/** Cold things are blue, whatever they measure first. */
export function hueOf(device: Device, metric: string): string {
  const { hue } = lookOf(metric);
  return hue === 'warm' && kindOf(device) === 'Refrigerator' ? 'water' : hue;
}

export class Card {
  readonly root = element('button', 'card');
  visible = false;
  #name = element('span', 'name');
  #kind = element('span', 'kind');
  #age = element('span', 'age');
  #value = element('span', 'number');
  #unit = element('span', 'unit');
  #what = element('span', 'what');
  #chips = element('span', 'chips');
  #canvas = element('canvas', 'spark');
  #spark = new Sparkline(this.#canvas);
  #texts = new Map<string, HTMLElement>();
  #metrics: string[] = [];

  constructor(readonly device: Device, open: (device: Device) => void) {
    this.root.type = 'button';
    this.root.dataset['device'] = device.id;
    this.#name.textContent = device.id;
    const head = element('span', 'head');
    head.append(this.#name, this.#kind, this.#age);
    const reading = element('span', 'reading');
    reading.append(this.#value, this.#unit, this.#what);
    this.#canvas.setAttribute('aria-hidden', 'true');
    this.root.append(head, reading, this.#canvas, this.#chips);
    this.root.addEventListener('click', () => open(device));
  }

  resize(): void {
    this.#spark.resize(this.#canvas.clientWidth, this.#canvas.clientHeight);
  }

  /** The parts that depend on which metrics there are. */
  #arrange(): void {
    const { device } = this;
    this.#metrics = device.metrics;
    this.#kind.textContent = kindOf(device);
    this.#chips.replaceChildren();
    this.#texts.clear();
    for (const metric of device.metrics.slice(1, 1 + chipsMax)) {
      const chip = element('span', 'chip');
      const value = element('b');
      chip.append(element('span', '', lookOf(metric).label), value);
      this.#chips.append(chip);
      this.#texts.set(metric, value);
    }
    const [main] = device.metrics;
    if (main === undefined) return;
    const look = lookOf(main);
    this.#what.textContent = look.label;
    this.#unit.textContent = look.unit;
    this.root.style.setProperty('--hue', `var(--${hueOf(device, main)})`);
  }

  /** The words; a few times a second. */
  update(real: number): void {
    const { device } = this;
    if (this.#metrics !== device.metrics) this.#arrange();
    const main = device.series.get(device.metrics[0] ?? '');
    if (main) setText(this.#value, formatNumber(main.metric, main.last));
    for (const [metric, place] of this.#texts) {
      const series = device.series.get(metric)!;
      setText(place, formatValue(metric, series.last));
      if (lookOf(metric).states) place.dataset['state'] = series.last ? 'on' : 'off';
    }
    const silent = device.heardAt === 0 || real - device.heardAt > silentMs;
    this.root.classList.toggle('silent', silent);
    const age = device.heardAt === 0 ? '' : `silent ${formatSpan(real - device.heardAt)}`;
    setText(this.#age, silent ? age : '');
  }

  /** The moving chart; many times a second. */
  draw(now: number, span: number, palette: Palette): void {
    const main = this.device.series.get(this.device.metrics[0] ?? '');
    if (main) this.#spark.draw(main, now, span, palette, hueOf(this.device, main.metric));
  }

  matches(words: string[]): boolean {
    const { device } = this;
    const tags = Object.entries(device.tags).flat();
    const text = [device.id, kindOf(device), ...device.metrics, ...tags].join(' ').toLowerCase();
    return words.every((word) => text.includes(word));
  }
}

export function setText(place: HTMLElement, text: string): void {
  if (place.textContent !== text) place.textContent = text;
}

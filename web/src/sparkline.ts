// A small moving chart on a canvas: one line with a soft area under it. Drawn by hand, as a page
// shows a hundred of them and they move all the time.
import { lookOf } from './format';
import { lowerBound, type Series } from './model';

export interface Palette {
  line: Record<string, string>;
  grid: string;
  dot: string;
}

/** The colours of the style sheet, read again when the scheme changes. */
export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const line: Record<string, string> = {};
  for (const hue of ['warm', 'sand', 'water', 'violet', 'leaf']) line[hue] = color(`--${hue}`);
  return { line, grid: color('--line'), dot: color('--card') };
}

/** Half transparent forms of a #rrggbb colour. */
function fade(color: string, alpha: number): string {
  return color + Math.round(alpha * 255).toString(16).padStart(2, '0');
}

export class Sparkline {
  #low = NaN;
  #high = NaN;
  #width = 0;
  #height = 0;
  readonly #context: CanvasRenderingContext2D;

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.#context = canvas.getContext('2d')!;
  }

  resize(width: number, height: number): void {
    const scale = Math.min(window.devicePixelRatio || 1, 2);
    this.#width = width;
    this.#height = height;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.#context.setTransform(scale, 0, 0, scale, 0, 0);
  }

  /** The scale glides to where the data is, so that nothing jumps. */
  #rescale(series: Series, from: number): void {
    let low = Infinity;
    let high = -Infinity;
    for (let i = from; i < series.values.length; i++) {
      const value = series.values[i]!;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return;
    const missing = lookOf(series.metric).span - (high - low);
    if (missing > 0) {
      low -= missing / 2;
      high += missing / 2;
    }
    const settled = Number.isFinite(this.#low);
    this.#low = settled ? this.#low + (low - this.#low) * 0.2 : low;
    this.#high = settled ? this.#high + (high - this.#high) * 0.2 : high;
  }

  draw(series: Series, now: number, span: number, palette: Palette, hue: string): void {
    const context = this.#context;
    const [width, height] = [this.#width, this.#height];
    context.clearRect(0, 0, width, height);
    const from = Math.max(0, lowerBound(series.times, now - span) - 1);
    const count = series.times.length;
    if (count - from < 1 || width === 0) return;
    this.#rescale(series, from);
    const right = width - 5;
    const x = (time: number) => right - ((now - time) / span) * right;
    const scale = (height - 12) / (this.#high - this.#low || 1);
    const y = (value: number) => height - 6 - (value - this.#low) * scale;
    const color = palette.line[hue] || '#3388aa';
    this.#trace(series, from, now, x, y);
    context.strokeStyle = color;
    context.lineWidth = 1.6;
    context.lineJoin = 'round';
    context.stroke();
    const lastX = Math.min(x(series.times[count - 1]!), right);
    context.lineTo(lastX, height);
    context.lineTo(x(series.times[from]!), height);
    const area = context.createLinearGradient(0, 0, 0, height);
    area.addColorStop(0, fade(color, 0.22));
    area.addColorStop(1, fade(color, 0));
    context.fillStyle = area;
    context.fill();
    this.#point(lastX, y(series.values[count - 1]!), color, palette.dot);
  }

  #trace(
    series: Series, from: number, now: number,
    x: (time: number) => number, y: (value: number) => number,
  ): void {
    const context = this.#context;
    const { times, values } = series;
    const step = lookOf(series.metric).states !== undefined;
    context.beginPath();
    for (let i = from; i < times.length && times[i]! <= now; i++) {
      if (step && i > from) context.lineTo(x(times[i]!), y(values[i - 1]!));
      context.lineTo(x(times[i]!), y(values[i]!));
    }
  }

  #point(x: number, y: number, color: string, rim: string): void {
    const context = this.#context;
    context.beginPath();
    context.arc(x, y, 3, 0, 2 * Math.PI);
    context.fillStyle = color;
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = rim;
    context.stroke();
  }
}

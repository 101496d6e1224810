// One device, large: a chart of one metric over an hour, a day or a week, history first and then
// live. Longer ranges come from the server as buckets with least, mean and greatest value; the
// stream goes into the newest bucket.
import uPlot from 'uplot';
import { toNumber, type Api, type Reading, type SeriesRows } from './api';
import { element, hueOf, setText } from './card';
import { formatNumber, formatTime, formatValue, lookOf } from './format';
import { deviceId, lowerBound, type Device } from './model';

interface Range {
  label: string;
  span: number;
  /** Width of a bucket; 0: every point. */
  step: number;
}

const ranges: Range[] = [
  { label: '1 h', span: 3600e3, step: 0 },
  { label: '1 d', span: 86400e3, step: 300e3 },
  { label: '7 d', span: 7 * 86400e3, step: 1800e3 },
];
const rowsMax = 8000;

/** Columns of the chart: time, mean (or the point itself), least, greatest. */
class Rows {
  time: number[] = [];
  mean: number[] = [];
  low: number[] = [];
  high: number[] = [];
  count: number[] = [];

  constructor(private readonly step: number) {}

  /** The columns in the order of uPlot; points have no least and greatest of their own. */
  get columns(): [number[], ...number[][]] {
    return this.step ? [this.time, this.mean, this.low, this.high] : [this.time, this.mean];
  }

  fill(found: SeriesRows | undefined): void {
    const names = found?.columns ?? [];
    const [mean, low, high, count] = ['avg', 'min', 'max', 'count'].map((n) => names.indexOf(n));
    for (const row of found?.points ?? []) {
      const pick = (at: number | undefined) => toNumber(row[at !== undefined && at > 0 ? at : 1]);
      this.time.push(toNumber(row[0]));
      this.mean.push(pick(mean));
      this.low.push(pick(low));
      this.high.push(pick(high));
      this.count.push(names.length ? pick(count) : 1);
    }
  }

  add(time: number, value: number): void {
    const bucket = this.step ? Math.floor(time / this.step) * this.step : time;
    const at = lowerBound(this.time, bucket);
    if (this.time[at] !== bucket) {
      this.time.splice(at, 0, bucket);
      for (const column of [this.mean, this.low, this.high]) column.splice(at, 0, value);
      this.count.splice(at, 0, 1);
    } else if (this.step) {
      this.count[at]!++;
      this.mean[at]! += (value - this.mean[at]!) / this.count[at]!;
      this.low[at] = Math.min(this.low[at]!, value);
      this.high[at] = Math.max(this.high[at]!, value);
    } else {
      for (const column of [this.mean, this.low, this.high]) column[at] = value;
    }
  }

  trim(before: number): void {
    const drop = Math.max(lowerBound(this.time, before) - 1, this.time.length - rowsMax);
    if (drop < 64) return;
    for (const column of [this.time, this.mean, this.low, this.high, this.count]) {
      column.splice(0, drop);
    }
  }
}

export class Detail {
  #device: Device | null = null;
  #metric = '';
  #range = ranges[0]!;
  #rows = new Rows(0);
  #pending: Reading[] = [];
  #loading: AbortController | null = null;
  #plot: uPlot | null = null;
  #dirty = false;
  readonly #dialog = document.querySelector<HTMLDialogElement>('#detail')!;
  readonly #title = this.#dialog.querySelector<HTMLElement>('h2')!;
  readonly #metrics = this.#dialog.querySelector<HTMLElement>('.metrics')!;
  readonly #ranges = this.#dialog.querySelector<HTMLElement>('.ranges')!;
  readonly #chart = this.#dialog.querySelector<HTMLElement>('.chart')!;
  readonly #facts = this.#dialog.querySelector<HTMLElement>('.facts')!;
  readonly #note = this.#dialog.querySelector<HTMLElement>('.note')!;

  constructor(private readonly api: Api, private readonly now: () => number) {
    this.#dialog.addEventListener('close', () => this.#leave());
    this.#dialog.addEventListener('click', (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    this.#dialog.querySelector('.close')!
      .addEventListener('click', () => this.#dialog.close());
    new ResizeObserver(() => this.#fit()).observe(this.#chart);
  }

  open(device: Device): void {
    this.#device = device;
    if (!device.series.has(this.#metric)) this.#metric = device.metrics[0] ?? '';
    this.#title.textContent = device.id;
    if (!this.#dialog.open) this.#dialog.showModal();
    location.hash = encodeURIComponent(device.id);
    void this.load();
  }

  #leave(): void {
    this.#loading?.abort();
    this.#device = null;
    this.#plot?.destroy();
    this.#plot = null;
    history.replaceState(null, '', location.pathname + location.search);
  }

  onReading(reading: Reading): void {
    const device = this.#device;
    if (!device || reading.metric !== this.#metric || deviceId(reading.tags) !== device.id) return;
    if (this.#loading) this.#pending.push(reading);
    else this.#rows.add(reading.time, toNumber(reading.value));
    this.#dirty = true;
  }

  /** Reads history again; what the stream brings meanwhile is put behind it. */
  async load(): Promise<void> {
    const device = this.#device;
    if (!device) return;
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    this.#pending = [];
    this.#tabs(device);
    const rows = new Rows(this.#range.step);
    const newest = this.now();
    const filter: Record<string, string | number> = { metric: this.#metric };
    for (const [name, value] of Object.entries(device.tags)) {
      filter[name === 'device' ? name : `tag.${name}`] = value;
    }
    filter['from'] = Math.round(newest - this.#range.span);
    filter['to'] = Math.round(newest + 60e3);
    if (this.#range.step) {
      Object.assign(filter, { step: `${this.#range.step / 1000}s`, agg: 'avg,min,max,count' });
    }
    try {
      const found = await this.api.query(filter, loading.signal);
      rows.fill(found.find((one) => deviceId(one.tags) === device.id));
      this.#note.textContent = '';
    } catch (error) {
      if (loading.signal.aborted) return;
      this.#note.textContent = 'History could not be read; the chart goes on from here.';
    }
    this.#rows = rows;
    this.#loading = null;
    for (const one of this.#pending) rows.add(one.time, toNumber(one.value));
    this.#makePlot();
  }

  #tabs(device: Device): void {
    const choice = (label: string, chosen: boolean, choose: () => void) => {
      const button = element('button', 'choice', label);
      button.type = 'button';
      button.setAttribute('aria-pressed', String(chosen));
      button.addEventListener('click', () => {
        choose();
        void this.load();
      });
      return button;
    };
    this.#metrics.replaceChildren(...device.metrics.map((metric) =>
      choice(lookOf(metric).label, metric === this.#metric, () => (this.#metric = metric))));
    this.#ranges.replaceChildren(...ranges.map((range) =>
      choice(range.label, range === this.#range, () => (this.#range = range))));
  }

  #makePlot(): void {
    this.#plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const hue = color(`--${hueOf(this.#device!, this.#metric)}`);
    const paths = lookOf(this.#metric).states && !this.#range.step
      ? uPlot.paths.stepped!({ align: 1 }) : uPlot.paths.linear!();
    const axis = {
      stroke: color('--soft'), grid: { stroke: color('--line'), width: 1 },
      ticks: { show: false }, font: '12px system-ui, sans-serif',
    };
    const value = (_: uPlot, v: number | null) => (v === null ? '–' : formatValue(this.#metric, v));
    const plain = { points: { show: false }, value };
    const edge = { stroke: 'transparent', ...plain };
    const buckets = this.#range.step > 0;
    this.#plot = new uPlot({
      ...this.#size(), ms: 1, legend: { show: true, live: true },
      cursor: { points: { size: 7 }, drag: { x: false, y: false } },
      scales: {
        x: { time: true, auto: false },
        y: { range: (_, low, high) => this.#room(low, high) },
      },
      axes: [axis, {
        ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => `${+tick.toFixed(3)}`),
      }],
      series: [
        { value: (_, t: number | null) => (t === null ? '–' : formatTime(t)) },
        { label: buckets ? 'Mean' : 'Value', stroke: hue, width: 2, paths, ...plain },
        ...(buckets ? [{ label: 'Least', ...edge }, { label: 'Greatest', ...edge }] : []),
      ],
      bands: buckets ? [{ series: [3, 2], fill: hue + '33' }] : [],
    }, this.#rows.columns, this.#chart);
    this.#dirty = true;
    this.draw();
  }

  /** A little air above and below, and never less than the metric's usual span. */
  #room(low: number | null, high: number | null): [number, number] {
    if (low === null || high === null) return [0, 1];
    const span = Math.max(high - low, lookOf(this.#metric).span);
    const middle = (low + high) / 2;
    return [middle - span * 0.58, middle + span * 0.58];
  }

  #size(): { width: number; height: number } {
    const { clientWidth, clientHeight } = this.#chart;
    return { width: Math.max(clientWidth, 200), height: Math.max(clientHeight - 34, 160) };
  }

  #fit(): void {
    this.#plot?.setSize(this.#size());
  }

  /** Called every turn of the page while it is open. */
  draw(): void {
    const plot = this.#plot;
    if (!plot || !this.#device) return;
    const now = this.now();
    if (this.#dirty) {
      this.#dirty = false;
      this.#rows.trim(now - this.#range.span);
      plot.setData(this.#rows.columns, false);
      this.#describe();
    }
    plot.setScale('x', { min: now - this.#range.span, max: now });
  }

  #describe(): void {
    const { mean, low, high, time } = this.#rows;
    if (!time.length) {
      this.#facts.textContent = 'No readings in this range.';
      return;
    }
    const finite = (list: number[]) => list.filter(Number.isFinite);
    const fact = (value: number) => formatNumber(this.#metric, value);
    const sum = finite(mean).reduce((a, b) => a + b, 0);
    const least = finite(low).reduce((a, b) => Math.min(a, b), Infinity);
    const greatest = finite(high).reduce((a, b) => Math.max(a, b), -Infinity);
    const now = this.#device!.series.get(this.#metric)?.last ?? NaN;
    setText(this.#facts, `now ${formatValue(this.#metric, now)} · least ${fact(least)} · ` +
      `mean ${fact(sum / finite(mean).length)} · greatest ${fact(greatest)}`);
  }
}

// What the page knows: devices, their series, and the clock of the data.
//
// Every list is bounded: a series keeps at most `pointsMax` points of the window on show, and no
// more than `devicesMax` devices are kept. A point is known by its time, so history and stream
// may overlap: the later arrival wins.
import { compareMetrics } from './format';

export const pointsMax = 600;
export const devicesMax = 2000;

export class Series {
  times: number[] = [];
  values: number[] = [];
  /** The newest value, whether or not it was kept as a point of its own. */
  last = NaN;
  lastTime = 0;

  constructor(readonly metric: string) {}

  /** Adds a point; one closer than `gap` to the newest takes its place. */
  add(time: number, value: number, gap: number): void {
    const { times, values } = this;
    if (time >= this.lastTime) {
      this.lastTime = time;
      this.last = value;
    }
    const count = times.length;
    if (count === 0 || time > times[count - 1]!) {
      if (count > 1 && time - times[count - 2]! < gap) {
        times[count - 1] = time;
        values[count - 1] = value;
      } else {
        times.push(time);
        values.push(value);
      }
      if (times.length > 2 * pointsMax) this.#trim();
      return;
    }
    const at = lowerBound(times, time);
    if (times[at] === time) {
      values[at] = value;
    } else if (at > 0 || count < pointsMax) {
      times.splice(at, 0, time);
      values.splice(at, 0, value);
    }
  }

  /** Puts history before the points that the stream has brought meanwhile. */
  setHistory(times: number[], values: number[]): void {
    const newest = times[times.length - 1];
    if (newest === undefined) return;
    const from = lowerBound(this.times, newest + 1);
    this.times = times.concat(this.times.slice(from));
    this.values = values.concat(this.values.slice(from));
    if (newest >= this.lastTime) {
      this.lastTime = newest;
      this.last = values[values.length - 1]!;
    }
    this.#trim();
  }

  #trim(): void {
    this.times = this.times.slice(-pointsMax);
    this.values = this.values.slice(-pointsMax);
  }
}

/** The first index whose value is not below `least`. */
export function lowerBound(sorted: number[], least: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class Device {
  readonly series = new Map<string, Series>();
  metrics: string[] = [];
  /** By the page's own clock: when something last came. */
  heardAt = 0;

  constructor(readonly id: string, readonly tags: Record<string, string>) {}

  seriesOf(metric: string): Series {
    let series = this.series.get(metric);
    if (!series) {
      series = new Series(metric);
      this.series.set(metric, series);
      this.metrics = [...this.series.keys()].sort(compareMetrics);
    }
    return series;
  }
}

/** What a series belongs to: its device, else what its tags say. */
export function deviceId(tags: Record<string, string>): string {
  if (tags['device'] !== undefined) return tags['device'];
  const pairs = Object.entries(tags).map(([name, value]) => `${name}=${value}`);
  return pairs.sort().join(' ') || '–';
}

export class Model {
  readonly devices = new Map<string, Device>();
  readonly clock = new DataClock();
  refused = 0;

  /** Null when there are too many. */
  deviceOf(tags: Record<string, string>): Device | null {
    const id = deviceId(tags);
    let device = this.devices.get(id);
    if (!device) {
      if (this.devices.size >= devicesMax) {
        this.refused++;
        return null;
      }
      device = new Device(id, tags);
      this.devices.set(id, device);
    }
    return device;
  }
}

const sampleMs = 500;
const samplesMax = 30;
const behindMax = 20;

/** The time of the data, which in a simulation runs at another speed than ours. */
export class DataClock {
  /** Data time a real millisecond, as observed. */
  rate = 1;
  newest = 0;
  #shown = 0;
  #shownAt = 0;
  #samples: { real: number; data: number }[] = [];
  #seen = 0;
  #behind = 0;

  see(time: number): void {
    if (time > this.newest) this.newest = time;
    if (time > this.#seen) this.#seen = time;
  }

  /** A simulation may begin anew: when nothing but older times come for long, follow them. */
  #follow(): void {
    if (this.#seen) this.#behind = this.#seen < this.newest ? this.#behind + 1 : 0;
    if (this.#behind > behindMax) {
      this.newest = this.#seen;
      this.#behind = 0;
      this.forget();
    }
    this.#seen = 0;
  }

  /** Called every turn; keeps the observed rate up to date. True once it is known. */
  observe(real: number): boolean {
    const samples = this.#samples;
    const latest = samples[samples.length - 1];
    if (this.newest && (!latest || real - latest.real >= sampleMs)) {
      this.#follow();
      samples.push({ real, data: this.newest });
      if (samples.length > samplesMax) samples.shift();
    }
    const first = samples[0];
    const last = samples[samples.length - 1];
    if (!first || !last || last.real - first.real < 4000) return false;
    const rate = (last.data - first.data) / (last.real - first.real);
    if (rate > 0) this.rate = rate;
    return rate > 0;
  }

  /** After a pause of the stream what was observed says nothing. */
  forget(): void {
    this.#samples = [];
  }

  /** The time at the right edge of the charts: it flows, and never runs far from the data. */
  now(real: number): number {
    const passed = Math.min(real - this.#shownAt, 1000);
    this.#shownAt = real;
    const off = this.newest - this.#shown;
    if (Math.abs(off) > 20_000 * Math.max(1, this.rate)) {
      this.#shown = this.newest;
    } else {
      const before = this.#shown;
      const pull = 1 - Math.exp(-passed / 2000);
      const next = before + Math.max(0, this.rate * passed + off * pull);
      const lead = 3000 * Math.max(1, this.rate);
      this.#shown = Math.min(next, Math.max(this.newest + lead, before));
    }
    return this.#shown;
  }
}

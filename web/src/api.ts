// The server's HTTP interface, as far as the page needs it, and the key that opens it.

export interface SeriesInfo {
  metric: string;
  tags: Record<string, string>;
  first: number;
  last: number;
}

export interface SeriesRows {
  metric: string;
  tags: Record<string, string>;
  columns?: string[];
  points: (number | string | null)[][];
}

export interface Reading {
  metric: string;
  device: string | null;
  tags: Record<string, string>;
  time: number;
  value: number | string;
}

export class Unauthorized extends Error {}

const storageKey = 'weir.key';
const seriesMax = 8000;

export class Api {
  #key = sessionStorage.getItem(storageKey) ?? '';

  get key(): string {
    return this.#key;
  }

  set key(value: string) {
    this.#key = value;
    sessionStorage.setItem(storageKey, value);
  }

  /** A demonstration server gives its key away; another answers 404. */
  async findDemoKey(): Promise<void> {
    if (this.#key) return;
    const answer = await fetch('/api/v1/demo').catch(() => null);
    if (answer?.ok) this.key = ((await answer.json()) as { key: string }).key;
  }

  async #get<T>(path: string, signal?: AbortSignal): Promise<T> {
    const headers: Record<string, string> = {};
    if (this.#key) headers['Authorization'] = `Bearer ${this.#key}`;
    const answer = await fetch(path, { headers, signal: signal ?? null });
    if (answer.status === 401 || answer.status === 403) throw new Unauthorized();
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return (await answer.json()) as T;
  }

  async series(): Promise<SeriesInfo[]> {
    const all: SeriesInfo[] = [];
    let cursor: string | null = '';
    while (cursor !== null && all.length < seriesMax) {
      const more: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
      const page: { items: SeriesInfo[]; next: string | null } =
        await this.#get(`/api/v1/series?limit=1000${more}`);
      all.push(...page.items);
      cursor = page.next;
    }
    return all;
  }

  /** Throws Unauthorized when the key is not (or no longer) good. */
  async check(): Promise<void> {
    await this.#get('/api/v1/series?limit=1');
  }

  async query(
    parameters: Record<string, string | number>, signal?: AbortSignal,
  ): Promise<SeriesRows[]> {
    const text = Object.entries(parameters)
      .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
      .join('&');
    return (await this.#get<{ series: SeriesRows[] }>(`/api/v1/query?${text}`, signal)).series;
  }

  /** An EventSource cannot send headers, so the key goes into the address. */
  streamAddress(channel: string, after: string): string {
    const resume = after ? `&last_event_id=${encodeURIComponent(after)}` : '';
    const token = this.#key ? `&token=${encodeURIComponent(this.#key)}` : '';
    return `/api/v1/subscribe?channel=${encodeURIComponent(channel)}${resume}${token}`;
  }
}

/** Values beyond JSON's numbers come as strings. */
export function toNumber(value: number | string | null | undefined): number {
  return value === null || value === undefined ? NaN : Number(value);
}

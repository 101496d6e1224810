// The page: finds the series, shows their history, and then follows the stream.
//
// Bytes come in as fast as they come; the page looks at them in turns: words four times a second,
// moving charts at most ten times, and only those that are in sight.
import { Api, toNumber, Unauthorized, type Reading } from './api';
import { Card, setText } from './card';
import { Detail } from './detail';
import { formatSpan, formatTime } from './format';
import { Model, pointsMax, type Device } from './model';
import { readPalette } from './sparkline';
import { Stream, type StreamState } from './stream';

const drawMs = matchMedia('(prefers-reduced-motion: reduce)').matches ? 1000 : 100;
const wordsMs = 250;
const historyRows = 150;
/** The chart of a card shows about this much of the watcher's own time. */
const watchMs = 120e3;
const spans = [5, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 43200].map((m) => m * 60e3);

const find = <T extends HTMLElement>(selector: string) => document.querySelector<T>(selector)!;

class Page {
  readonly api = new Api();
  readonly model = new Model();
  readonly cards = new Map<string, Card>();
  readonly detail = new Detail(this.api, () => this.now);
  readonly grid = find('#grid');
  readonly stream = new Stream(this.api, 'readings/+/+', {
    onReading: (reading) => this.onReading(reading),
    onGap: () => this.#refresh(),
    onState: (state) => this.onState(state),
  });
  now = 0;
  span = 15 * 60e3;
  #palette = readPalette();
  #received = 0;
  #counts: { at: number; received: number }[] = [];
  #drawnAt = 0;
  #wordsAt = 0;
  #rateKnown = false;
  #wasLive = false;
  #words: string[] = [];
  readonly #sight = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const card = this.cards.get((entry.target as HTMLElement).dataset['device']!);
      if (!card) continue;
      card.visible = entry.isIntersecting;
      if (card.visible) card.resize();
    }
  }, { rootMargin: '100px' });

  async start(): Promise<void> {
    this.#listen();
    await this.api.findDemoKey();
    await this.#enter();
    requestAnimationFrame((at) => this.turn(at));
  }

  #listen(): void {
    const search = find<HTMLInputElement>('#search');
    search.addEventListener('input', () => {
      this.#words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const card of this.cards.values()) card.root.hidden = !card.matches(this.#words);
      this.#showEmpty();
    });
    matchMedia('(prefers-color-scheme: dark)')
      .addEventListener('change', () => (this.#palette = readPalette()));
    window.addEventListener('resize', () => {
      for (const card of this.cards.values()) if (card.visible) card.resize();
    });
    window.addEventListener('pagehide', () => this.stream.stop());
    window.addEventListener('pageshow', (event) => {
      if (event.persisted) this.stream.start();
    });
    find<HTMLFormElement>('#key form').addEventListener('submit', () => {
      this.api.key = find<HTMLInputElement>('#key input').value.trim();
      void this.#enter();
    });
  }

  /** History, then the stream; once that is open, what came in between is read again. */
  async #enter(): Promise<void> {
    this.stream.stop();
    try {
      await this.readHistory();
      this.#wasLive = true;
      this.stream.start();
      this.#openFromAddress();
    } catch (error) {
      if (error instanceof Unauthorized) {
        this.#askKey();
      } else {
        this.onState('connecting');
        setTimeout(() => void this.#enter(), 3000);
      }
    }
  }

  #askKey(): void {
    this.stream.stop();
    this.onState('key');
    const dialog = find<HTMLDialogElement>('#key');
    if (!dialog.open) dialog.showModal();
  }

  /** After a gap, or when the stream is back: what was missed is read as history. */
  #refresh(): void {
    this.readHistory().catch(() => undefined);
  }

  #openFromAddress(): void {
    const device = this.model.devices.get(decodeURIComponent(location.hash.slice(1)));
    if (device) this.detail.open(device);
  }

  /** Thins history to what a card can show, one query a metric. */
  async readHistory(): Promise<void> {
    const known = await this.api.series();
    for (const { last, tags, metric } of known) {
      this.model.clock.see(last);
      this.model.deviceOf(tags)?.seriesOf(metric);
    }
    this.#addCards();
    const newest = this.model.clock.newest;
    if (!newest) return;
    const step = Math.max(1, Math.round(this.span / historyRows / 1000));
    for (const metric of new Set(known.map((one) => one.metric))) {
      const found = await this.api.query({
        metric, from: Math.round(newest - this.span), to: newest + 60e3,
        step: `${step}s`, agg: 'last',
      });
      for (const { tags, points } of found) {
        const series = this.model.deviceOf(tags)?.seriesOf(metric);
        series?.setHistory(points.map((p) => toNumber(p[0])), points.map((p) => toNumber(p[1])));
      }
    }
    void this.detail.load();
  }

  onReading(reading: Reading): void {
    this.#received++;
    const { tags, metric, time } = reading;
    const value = toNumber(reading.value);
    if (reading.device !== null && tags['device'] === undefined) tags['device'] = reading.device;
    this.model.clock.see(time);
    const device = this.model.deviceOf(tags);
    if (!device) return;
    device.heardAt = performance.now();
    device.seriesOf(metric).add(time, value, this.span / pointsMax);
    this.detail.onReading(reading);
  }

  onState(state: StreamState | 'key'): void {
    const texts = {
      live: 'Live', connecting: 'Connecting', waiting: 'Reconnecting', key: 'Key needed',
    };
    const place = find('#state');
    place.dataset['state'] = state;
    setText(place.querySelector<HTMLElement>('.text')!, texts[state]);
    if (state === 'live' && this.#wasLive) {
      this.model.clock.forget();
      this.#refresh();
    }
    this.#wasLive ||= state === 'live';
    if (state === 'waiting') {
      // An EventSource does not say why it failed; a key that was revoked shows here.
      this.api.check().catch((error) => error instanceof Unauthorized && this.#askKey());
    }
  }

  #addCards(): void {
    const fresh: Device[] = [];
    for (const device of this.model.devices.values()) {
      if (!this.cards.has(device.id) && device.metrics.length) fresh.push(device);
    }
    if (!fresh.length) return;
    for (const device of fresh) {
      const card = new Card(device, (chosen) => this.detail.open(chosen));
      this.cards.set(device.id, card);
      card.root.hidden = !card.matches(this.#words);
      this.#sight.observe(card.root);
    }
    const sorted = [...this.cards.values()].sort((a, b) =>
      a.device.id.localeCompare(b.device.id, undefined, { numeric: true }));
    this.grid.append(...sorted.map((card) => card.root));
    this.#showEmpty();
  }

  #showEmpty(): void {
    const shown = [...this.cards.values()].some((card) => !card.root.hidden);
    find('#empty').hidden = shown;
    setText(find('#empty'), this.cards.size
      ? 'No device matches.' : 'No readings yet. They appear here as they arrive.');
  }

  /** Picks the span of the cards by the speed of the data, with some inertia. */
  #chooseSpan(): void {
    const wanted = this.model.clock.rate * watchMs;
    const fits = this.span >= wanted * 0.6 && this.span <= wanted * 4;
    if (fits && this.#rateKnown) return;
    this.#rateKnown = true;
    const span = spans.find((one) => one >= wanted * 0.9) ?? spans[spans.length - 1]!;
    if (span === this.span) return;
    this.span = span;
    this.#refresh();
  }

  turn(at: number): void {
    requestAnimationFrame((next) => this.turn(next));
    if (at - this.#drawnAt < drawMs) return;
    this.#drawnAt = at;
    this.now = this.model.clock.now(at);
    if (this.model.clock.observe(at)) this.#chooseSpan();
    const words = at - this.#wordsAt >= wordsMs;
    if (words) {
      this.#wordsAt = at;
      this.#addCards();
      this.#describe(at);
    }
    for (const card of this.cards.values()) {
      if (!card.visible || card.root.hidden) continue;
      if (words) card.update(at);
      card.draw(this.now, this.span, this.#palette);
    }
    this.detail.draw();
  }

  #describe(at: number): void {
    this.#counts.push({ at, received: this.#received });
    if (this.#counts.length > 13) this.#counts.shift();
    const first = this.#counts[0]!;
    const rate = at > first.at ? ((this.#received - first.received) * 1000) / (at - first.at) : 0;
    const digits = { maximumFractionDigits: rate < 10 ? 1 : 0 };
    setText(find('#rate'), rate.toLocaleString(undefined, digits));
    setText(find('#devices'), this.cards.size.toLocaleString());
    const { newest, rate: speed } = this.model.clock;
    setText(find('#time'), newest ? formatTime(this.now) : '–');
    const quick = speed > 1.5 ? ` · ${Math.round(speed)} × real time` : '';
    setText(find('#span'), `Charts show the last ${formatSpan(this.span)}${quick}`);
    setText(find('#refused'), this.model.refused ? 'More devices exist than are shown.' : '');
  }
}

void new Page().start();

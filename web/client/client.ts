// The client of Weir's channels, published as /weir.js (docs/client.md; types in weir.d.ts).
//
// One link at a time brings the messages of all subscriptions, in the order of their ids; the
// client's cursor follows it, and the next link begins behind it. A new subscription is checked by
// a poll, put on the link, and reads its own past by polls while what comes live waits for it.
import { Choice } from './choice';
import { asFailure, Failure, Http } from './http';
import { Settled, type Link, type LinkOwner, type LinkSettings } from './link';
import { isAfter, isId } from './names';
import { LongPollLink, SseLink } from './streams';
import { safely, Sub } from './subscription';
import { WebSocketLink } from './websocket';
import type {
  Client, Events, Member, Message, Options, Published, PublishOptions, State, SubscribeOptions,
  Subscription, TransportName,
} from './weir';

const polledMax = 1000;
const patternsMax = 128; // in one address
/** A link that ends sooner did not work. */
const shortMs = 5000;
const publishTries = 6;
const upgradeMaxMs = 15 * 60e3;

type Channels = string | number | (string | number)[];
type Handler = (message: Message<any>) => void;

const listOf = (channels: Channels) => (Array.isArray(channels) ? channels : [channels]);

class WeirClient implements Client {
  state: State = 'idle';
  transport: TransportName | undefined;
  /** Up to here every subscription on the link has everything. */
  cursor: string | undefined;
  readonly #http: Http;
  readonly #choice: Choice;
  readonly #pauseMs: number;
  readonly #pauseMaxMs: number;
  readonly #subs = new Set<Sub>();
  readonly #calls = new Map<string, Set<(event: any) => void>>();
  readonly #stop = new AbortController();
  #changed = new Settled<void>();
  #link: Link | undefined;
  #names = new Set<string>(); // the patterns on the link
  #anew = false; // after a gap: ids may begin anew
  #openedAt = 0;
  #blamed = false; // the last failure was the transport's
  #attempt = 0;
  #running = false;
  #wake: (() => void) | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #upgrade: ReturnType<typeof setTimeout> | undefined;
  #upgradeMs: number;

  constructor(base: string, private readonly options: Options) {
    this.#http = new Http(base, options);
    this.#choice = new Choice(base, options, this.#webSocket !== undefined);
    this.#pauseMs = options.pauseMs ?? 500;
    this.#pauseMaxMs = options.pauseMaxMs ?? 30_000;
    this.#upgradeMs = (options.upgradeSeconds ?? 60) * 1000;
    const { signal } = this.#stop;
    globalThis.addEventListener?.('online', () => this.#again(), { signal });
    globalThis.addEventListener?.('pageshow', (event) => {
      if ((event as PageTransitionEvent).persisted) this.#again();
    }, { signal });
  }

  subscribe(patterns: Channels, ...rest: [Handler] | [SubscribeOptions, Handler]): Subscription {
    if (this.state === 'closed') throw new Failure(0, 'the client is closed');
    const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest;
    const sub = new Sub(patterns, options, handler, this);
    this.#subs.add(sub);
    this.#change();
    if (!this.#running) {
      this.#running = true;
      void Promise.resolve().then(() => this.#run()); // what is subscribed at once goes at once
    }
    return sub;
  }

  unsubscribe(subscription: Subscription): void {
    this.remove(subscription as Sub);
  }

  remove(sub: Sub, failure: Failure | null = null): void {
    if (!this.#subs.delete(sub)) return;
    sub.end(failure);
    const kept = new Set([...this.#subs].flatMap((other) => other.names));
    const names = sub.names.filter((name) => this.#names.has(name) && !kept.has(name));
    if (names.length && this.#link?.remove(names))
      for (const name of names) this.#names.delete(name);
    this.#change();
  }

  async publish(channels: Channels, data: unknown, { key }: PublishOptions = {}):
      Promise<Published> {
    const link = this.#link;
    if (this.state === 'online' && link?.publish && key === undefined)
      return link.publish(listOf(channels), data);
    const body = JSON.stringify({ channels: listOf(channels), data: data ?? null, key });
    const headers = { 'Content-Type': 'application/json' };
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#http.ask<Published>(
          '/publish', { method: 'POST', headers, body }, this.#stop.signal);
      } catch (error) {
        const failure = asFailure(error);
        const closed = this.#stop.signal.aborted;
        if (closed || key === undefined || failure.final || attempt + 1 === publishTries)
          throw failure;
        await this.#sleep(attempt, failure.pauseMs);
      }
    }
  }

  async presence(channel: string | number): Promise<Member[]> {
    const path = `/channels/${encodeURIComponent(channel)}/presence?limit=1000`;
    const members: Member[] = [];
    let next: string | null = '0';
    while (next !== null) {
      const page: { items: Member[]; next: string | null } =
        await this.#http.ask(`${path}&cursor=${next}`, {}, this.#stop.signal);
      members.push(...page.items);
      next = page.next;
    }
    return members;
  }

  on<K extends keyof Events>(name: K, call: (event: Events[K]) => void): () => void {
    const calls = this.#calls.get(name) ?? new Set();
    this.#calls.set(name, calls.add(call));
    return () => void calls.delete(call);
  }

  close(): void {
    if (this.state === 'closed') return;
    this.#setState('closed');
    this.#stop.abort();
    this.#cut();
    for (const sub of [...this.#subs]) this.remove(sub);
    this.#wake?.();
    this.#change();
  }

  // ── what is going on ──

  #emit<K extends keyof Events>(name: K, event: Events[K]): void {
    for (const call of this.#calls.get(name) ?? []) safely(() => call(event));
  }

  #setState(state: State): void {
    if (this.state === state || this.state === 'closed') return;
    this.state = state;
    this.#emit('state', state);
  }

  #change(): void {
    this.#changed.resolve();
  }

  async #run(): Promise<void> {
    while (this.state !== 'closed') {
      this.#changed = new Settled<void>();
      try {
        if (!this.#subs.size) this.#rest();
        else if (this.#link) await this.#join();
        else await this.#establish();
        await this.#changed.promise;
      } catch (error) {
        await this.#failed(asFailure(error));
      }
    }
  }

  #rest(): void {
    this.#cut();
    this.cursor = undefined;
    this.#setState('idle');
  }

  /** Ends the link, if there is one; what it would still bring comes over the next one. */
  #cut(): void {
    clearTimeout(this.#renewal);
    clearTimeout(this.#upgrade);
    const link = this.#link;
    this.#link = undefined;
    this.transport = undefined;
    this.#names.clear();
    link?.close();
  }

  /** The way to the server has changed: no pause counts any more, and no old link. */
  #again(): void {
    this.#attempt = 0;
    this.#cut();
    this.#wake?.();
    this.#change();
  }

  // ── links ──

  get #webSocket(): Options['WebSocket'] {
    return this.options.WebSocket ?? (globalThis.WebSocket as Options['WebSocket']);
  }

  #make(name: TransportName, owner: LinkOwner): Link {
    const settings: LinkSettings = {
      http: this.#http,
      owner,
      heartbeatMs: (this.options.heartbeatSeconds ?? 25) * 1000,
      timeoutMs: this.#http.timeoutMs,
    };
    if (name === 'websocket') return new WebSocketLink(settings, this.#webSocket!);
    return name === 'sse' ? new SseLink(settings) : new LongPollLink(settings);
  }

  async #establish(): Promise<void> {
    this.#setState('connecting');
    this.#blamed = false;
    if (![...this.#subs].some((sub) => sub.stage !== 'new')) {
      this.cursor = undefined;
      await this.#admit();
    }
    const subs = [...this.#subs].filter((sub) => sub.stage !== 'new');
    const names = new Set(subs.flatMap((sub) => sub.names));
    if (!names.size) return;
    const { name } = this.#choice;
    this.#blamed = true;
    if (names.size > patternsMax && name !== 'websocket')
      throw new Failure(0, `more than ${patternsMax} channels need a WebSocket`);
    const link = this.#make(name, this.#owner(name, () => this.#link === link));
    this.#link = link;
    this.#names = names;
    this.#openedAt = Infinity; // not yet
    void link.ended.then((why) => this.#ended(link, why));
    try {
      await link.open([...names], this.cursor);
    } catch (error) {
      if (this.#link === link) throw error;
    }
    if (this.#link !== link) return; // cut meanwhile
    this.#openedAt = Date.now();
    this.#blamed = false;
    this.transport = name;
    this.#setState('online');
    this.#renewLater();
    this.#upgradeLater(this.#upgradeMs);
    await this.#join();
  }

  #owner(name: TransportName, current: () => boolean): LinkOwner {
    return {
      onMessage: (message) => {
        if (!current() || !(this.#anew || isAfter(message.id, this.cursor))) return;
        this.cursor = message.id;
        this.#anew = false;
        for (const sub of this.#subs) sub.take(message);
      },
      onCursor: (cursor) => current() && (this.cursor = cursor),
      onGap: () => current() && this.#gap(),
      onClosed: (ids) => current() && this.#closed(ids),
      onProof: () => {
        if (!current()) return;
        this.#choice.worked();
        this.#emit('transport', name);
      },
    };
  }

  #gap(): void {
    this.#anew = true;
    for (const sub of this.#subs) sub.gap();
    this.#emit('gap', undefined);
  }

  #closed(ids: number[]): void {
    this.#emit('closed', ids);
    for (const sub of [...this.#subs])
      if (sub.patterns.every((pattern) => isId(pattern) && ids.includes(Number(pattern))))
        this.remove(sub);
  }

  #ended(link: Link, why: Failure | null): void {
    if (this.#link !== link || !why) return;
    const lived = Date.now() - this.#openedAt;
    if (lived < 0) return; // open() fails, and is heard
    this.#cut();
    if (lived >= shortMs) this.#attempt = 0;
    if (lived >= shortMs && link.proven) this.#choice.lasted();
    this.#blamed = lived < shortMs || !link.proven;
    this.#changed.reject(why);
  }

  // ── subscriptions come to the link ──

  /** What the new ones want is allowed, and where now is. Refused ones end. */
  async #admit(): Promise<string | undefined> {
    let position: string | undefined;
    const fresh = [...this.#subs].filter((sub) => sub.stage === 'new');
    for (const sub of fresh) await this.#resolveIds(sub);
    await this.#ask(fresh, (sub, next) => {
      position ??= this.cursor ??= next;
      if (isAfter(next, position)) position = next;
      sub.admit(next);
    });
    return position;
  }

  /** Asks whether these subscriptions are allowed, several at once; the others end. */
  async #ask(subs: Sub[], good: (sub: Sub, next: string) => void): Promise<void> {
    const rest = subs.filter((sub) => this.#subs.has(sub));
    while (rest.length) {
      const some = rest.splice(0, 1);
      let count = some[0]!.names.length;
      while (rest.length && (count += rest[0]!.names.length) <= patternsMax)
        some.push(rest.shift()!);
      await this.#askSome(some, good);
    }
  }

  async #askSome(some: Sub[], good: (sub: Sub, next: string) => void): Promise<void> {
    const names = [...new Set(some.flatMap((sub) => sub.names))];
    try {
      const { next } = await this.#http.poll(names, 'now', this.#stop.signal);
      for (const sub of some) if (this.#subs.has(sub)) good(sub, next);
    } catch (error) {
      const failure = asFailure(error);
      if (!failure.final) throw failure;
      if (some.length === 1) this.#refuse(some[0]!, failure);
      else for (const sub of some) await this.#askSome([sub], good);
    }
  }

  #refuse(sub: Sub, failure: Failure): void {
    this.remove(sub, failure);
    this.#emit('error', failure);
  }

  /** Messages tell the names of their channels, not the ids. */
  async #resolveIds(sub: Sub): Promise<void> {
    try {
      sub.names = await Promise.all(sub.patterns.map(async (pattern) => {
        if (!isId(pattern)) return pattern;
        const path = `/channels/${pattern}`;
        return (await this.#http.ask<{ name: string }>(path, {}, this.#stop.signal)).name;
      }));
    } catch (error) {
      const failure = asFailure(error);
      if (!failure.final) throw failure;
      this.#refuse(sub, failure);
    }
  }

  async #join(): Promise<void> {
    this.#blamed = false;
    const position = await this.#admit();
    const subs = [...this.#subs].filter((sub) => sub.stage !== 'new');
    const names = [...new Set(subs.flatMap((sub) => sub.names))]
      .filter((name) => !this.#names.has(name));
    const link = this.#link;
    if (!link) return;
    if (names.length) {
      if (!(await link.add(names))) return this.#reopen();
      for (const name of names) this.#names.add(name);
      if (position && isAfter(position, this.cursor)) this.cursor = position;
    }
    for (const sub of subs) {
      if (sub.linked) continue;
      sub.linked = true;
      if (sub.stage === 'live') sub.settled.resolve();
      else if (sub.stage === 'past') void this.#readPast(sub);
    }
  }

  /** For other patterns. The old ones are brought up to now first, so that the new ones do not
   * bring the gaps of a past that nobody asked for. */
  async #reopen(): Promise<void> {
    const names = [...this.#names];
    this.#cut();
    for (let more = true; more && this.cursor;) {
      const polled = await this.#http.poll(names, this.cursor, this.#stop.signal);
      if (polled.gap) this.#gap();
      for (const message of polled.messages) for (const sub of this.#subs) sub.take(message);
      this.cursor = polled.next;
      more = polled.messages.length >= polledMax;
    }
    await this.#establish();
  }

  async #readPast(sub: Sub): Promise<void> {
    for (let attempt = 0; sub.stage === 'past';) {
      try {
        const polled = await this.#http.poll(sub.names, sub.since!, this.#stop.signal);
        if (!this.#subs.has(sub)) return;
        attempt = 0;
        if (polled.gap) sub.gap();
        for (const message of polled.messages) sub.deliver(message);
        if (sub.passed(polled.next, polled.messages.length < polledMax)) sub.settled.resolve();
      } catch (error) {
        const failure = asFailure(error);
        if (failure.final) this.#refuse(sub, failure);
        else await this.#sleep(attempt++, failure.pauseMs);
      }
    }
  }

  // ── failures ──

  async #failed(failure: Failure): Promise<void> {
    const blamed = this.#blamed;
    this.#cut();
    if (this.#stop.signal.aborted) return;
    this.#emit('error', failure);
    if (failure.status === 401 && !this.options.getToken) {
      for (const sub of [...this.#subs]) this.remove(sub, failure);
      return;
    }
    this.#setState('waiting');
    const attempt = this.#attempt++;
    if (failure.status === 401 && attempt === 0) return; // with another token, at once
    if (failure.final || blamed) {
      const { size } = this.#subs;
      const reachable = await this.#sift();
      if (this.#subs.size < size) return; // it was theirs
      if (reachable && blamed && this.#choice.failed()) return;
    }
    await this.#sleep(attempt, failure.pauseMs);
  }

  /** Whether the server can be asked at all; who may no longer subscribe ends. */
  #sift(): Promise<boolean> {
    return this.#ask([...this.#subs], () => undefined).then(() => true, () => false);
  }

  /** Any time up to twice the mean, which doubles from failure to failure: so many clients do
   * not come back as one. */
  #sleep(attempt: number, atLeastMs: number): Promise<void> {
    const mean = Math.min(this.#pauseMaxMs / 2, this.#pauseMs * 2 ** attempt);
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(done, Math.max(atLeastMs, Math.random() * 2 * mean));
      this.#wake = done;
    });
  }

  // ── tokens and transports that could be better ──

  #renewLater(): void {
    const ms = this.#http.tokens.renewMs();
    if (ms === undefined) return;
    this.#renewal = setTimeout(
      () => void this.#renew(), Math.max(1000, Math.min(ms, 2 ** 31 - 1)));
  }

  async #renew(): Promise<void> {
    const link = this.#link;
    try {
      await this.#http.tokens.renew();
    } catch (error) {
      this.#emit('error', asFailure(error)); // asked again when the old one is refused
      return;
    }
    if (this.#link === link) this.#again();
  }

  #upgradeLater(ms: number): void {
    if (!this.#choice.better) return;
    this.#upgrade = setTimeout(() => void this.#tryBetter(ms), ms);
  }

  async #tryBetter(ms: number): Promise<void> {
    const { better } = this.#choice;
    const link = this.#link;
    if (!better || !link) return;
    const none = () => undefined;
    const probe = this.#make(
      better, { onMessage: none, onCursor: none, onGap: none, onClosed: none, onProof: none });
    let good = true;
    await probe.open(better === 'websocket' ? [] : [...this.#names], undefined)
      .catch(() => (good = false));
    probe.close();
    if (this.#link !== link) return;
    if (good) {
      this.#choice.best();
      this.#again();
    } else {
      this.#upgradeLater(Math.min(ms * 2, upgradeMaxMs));
    }
  }
}

export function connect(url = '', options: Options = {}): Client {
  const here = typeof location === 'undefined' ? undefined : location.href;
  const { origin, pathname } = new URL(url || '/', here);
  return new WeirClient(origin + pathname.replace(/\/+$/, ''), options);
}

export type * from './weir';
connect satisfies typeof import('./weir').connect;

// What the module /weir.js offers: the one description that programs, the client itself and
// docs/client.md rely on.

export type TransportName = 'websocket' | 'sse' | 'longpoll';

/** What a subscription brings. */
export interface Message<T = unknown> {
  /** Also a cursor: subscribe with it as `since` to go on behind this message. */
  id: string;
  /** Milliseconds since 1970. */
  time: number;
  /** Those of its channels that the subscription matched. */
  channels: string[];
  /** Of bytes that are no text: `{ base64 }`. */
  data: T;
  /** The Content-Type of what was published as bytes. */
  type?: string;
}

/** A cursor, `0` (all that is kept), `'now'`, a time in ms, a Date, `'-15m'` or RFC 3339. */
export type Since = string | number | Date;

export interface SubscribeOptions {
  /** Where to begin; `'now'` without. */
  since?: Since;
  /** Messages of its channels are gone before this one read them: read the state anew. */
  gap?: () => void;
  /** The subscription is over and does not come back; no error: its channel was closed. */
  end?: (error: WeirError | null) => void;
}

export interface Subscription {
  readonly patterns: readonly string[];
  /** Resolves when it is in force and its past was delivered; rejects when it is refused. */
  readonly ready: Promise<void>;
  /** Where to go on later, in another page or process; undefined until it is in force. */
  readonly cursor: string | undefined;
  unsubscribe(): void;
}

export interface PublishOptions {
  /** The same key within 300 s publishes once: with it, a publish is safely tried again. */
  key?: string;
}

export interface Published {
  id: string;
  time?: number;
  /** How many live subscriptions it went to; only when published over HTTP. */
  delivered?: number;
}

/** What the server, or the way to it, did not want. `status` is that of HTTP; 0: no answer. */
export interface WeirError extends Error {
  readonly status: number;
  /** The problem document, where there is one. */
  readonly problem?: { title?: string; detail?: string; pointer?: string };
}

export type State = 'idle' | 'connecting' | 'online' | 'waiting' | 'closed';

export interface Events {
  /** `idle`: nothing is subscribed. `waiting`: the next attempt comes after a pause. */
  state: State;
  /** The transport that was found to work. */
  transport: TransportName;
  /** Messages may be missing in some subscription. */
  gap: undefined;
  /** The ids of channels that were closed. */
  closed: number[];
  /** Why an attempt failed, or a subscription was refused. The client goes on by itself. */
  error: WeirError;
}

interface SocketLike {
  readyState: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

export interface Options {
  /** A key, or a token that is good for as long as the client lives. */
  token?: string;
  /** Asked for a token at first, before it expires (JWT), and when the server refuses it. */
  getToken?: () => string | Promise<string>;
  /** Which transports may be used, best first; all three without. */
  transports?: TransportName[];
  /** For Node < 22: the class of the package `ws`. */
  WebSocket?: new (url: string, protocols?: string[]) => SocketLike;
  fetch?: typeof fetch;
  /** Silence after which a connection is doubted: 25. */
  heartbeatSeconds?: number;
  /** The first pause after a failure and the longest one: 500 and 30000. */
  pauseMs?: number;
  pauseMaxMs?: number;
  /** How long one answer may take: 10. */
  timeoutSeconds?: number;
  /** When a better transport is tried again: after 60, then ever more rarely. */
  upgradeSeconds?: number;
  /** Remembers what works; localStorage where there is one. null: nothing is kept. */
  storage?: Pick<Storage, 'getItem' | 'setItem'> | null;
}

/** Somebody at a channel: a subscriber by the `sub` of its token, with the token's `info`. */
export interface Member {
  name: string;
  sub?: string;
  info?: unknown;
  /** 0 of who was there a moment ago. */
  connections: number;
  /** Milliseconds since the epoch. */
  since: number;
}

export interface Presence {
  joined: Pick<Member, 'name' | 'sub' | 'info'>[];
  left: Pick<Member, 'name' | 'sub' | 'info'>[];
  members: number;
}

export interface Client {
  readonly state: State;
  /** The transport in use. */
  readonly transport: TransportName | undefined;
  /** One or more channels: names, ids, or patterns (`+` one level, `#` the rest). */
  subscribe<T = unknown>(
    patterns: string | number | (string | number)[],
    handler: (message: Message<T>) => void,
  ): Subscription;
  subscribe<T = unknown>(
    patterns: string | number | (string | number)[],
    options: SubscribeOptions,
    handler: (message: Message<T>) => void,
  ): Subscription;
  unsubscribe(subscription: Subscription): void;
  /** Resolves when the server has taken it. */
  publish(
    channels: string | number | (string | number)[], data: unknown, options?: PublishOptions,
  ): Promise<Published>;
  /** Who is subscribed to a channel that shows it. That somebody comes or leaves is told on the
   * channel `$presence/NAME`, whose data is `Presence`. */
  presence(channel: string | number): Promise<Member[]>;
  /** Calls back at each event; what it returns stops that. */
  on<K extends keyof Events>(name: K, call: (event: Events[K]) => void): () => void;
  /** Ends every subscription; the client is of no use after it. */
  close(): void;
}

/** `url`: the server's address, with the path before /api/v1 if a proxy put one there; in a page
 * that the server itself shows: ''. Nothing is opened before the first subscription. */
export function connect(url?: string, options?: Options): Client;

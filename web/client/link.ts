// What the three transports have in common: a link that brings the messages of a set of patterns,
// from a cursor on, until it ends.
import type { Message } from './weir';
import type { Failure, Http } from './http';

export interface LinkOwner {
  onMessage(message: Message): void;
  /** All up to this cursor has been given. */
  onCursor(cursor: string): void;
  onGap(): void;
  onClosed(ids: number[]): void;
  /** Something came over it: the transport works here. */
  onProof(): void;
}

export interface LinkSettings {
  http: Http;
  owner: LinkOwner;
  heartbeatMs: number;
  timeoutMs: number;
}

export interface Link {
  /** Settles when the link is over; null: the owner closed it. */
  readonly ended: Promise<Failure | null>;
  /** onProof() was called. */
  readonly proven: boolean;
  /** Resolves when everything behind the cursor comes; rejects with a Failure. */
  open(patterns: string[], since: string | undefined): Promise<void>;
  /** More patterns, from now on. false: the link has to be opened anew for them. */
  add(patterns: string[]): Promise<boolean>;
  /** As add(): false asks for a new link. */
  remove(patterns: string[]): boolean;
  /** null where the link cannot. */
  publish: ((channels: (string | number)[], data: unknown) => Promise<{ id: string }>) | null;
  close(): void;
}

/** A promise and what settles it. */
export class Settled<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;
  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => undefined); // who waits for it hears of it
  }
}

/** Calls back when nothing has been heard for a while. */
export class Watch {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #heard = 0;
  constructor(private readonly ms: number, private readonly onSilence: () => void) {}

  /** A time is kept, no timer moved: it is called for every message. */
  heard(): void {
    this.#heard = Date.now();
    this.#timer ??= setTimeout(() => this.#look(), this.ms);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    this.#timer = undefined;
    const left = this.#heard + this.ms - Date.now();
    if (left > 0) this.#timer = setTimeout(() => this.#look(), left);
    else this.onSilence();
  }
}

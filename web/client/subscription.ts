// One subscription of the program: what it is due, and what waits while its past is being read.
import { Failure } from './http';
import { Settled } from './link';
import { isAfter, matches } from './names';
import type { Message, Since, SubscribeOptions, Subscription } from './weir';

const waitingMax = 10_000;

/** new: not yet known to the server. past: its past is read; what comes live waits. */
type Stage = 'new' | 'past' | 'live' | 'over';

export class Sub implements Subscription {
  readonly settled = new Settled<void>();
  readonly ready = this.settled.promise;
  readonly patterns: readonly string[];
  /** The patterns, ids replaced by names. */
  names: string[];
  stage: Stage = 'new';
  /** A link carries its patterns. */
  linked = false;
  /** Where its past is to be read from; null: it wants none. */
  since: string | null;
  /** Up to here it has everything, or wants nothing. */
  #floor: string | undefined;
  #waiting: Message[] = [];
  #dropped: string | undefined;

  constructor(
    patterns: string | number | (string | number)[],
    private readonly options: SubscribeOptions,
    private readonly handler: (message: Message<any>) => void,
    private readonly owner: { cursor: string | undefined; remove(sub: Sub): void },
  ) {
    this.patterns = (Array.isArray(patterns) ? patterns : [patterns]).map(String);
    this.names = [...this.patterns];
    this.since = sinceText(options.since);
  }

  get cursor(): string | undefined {
    if (this.stage !== 'live') return this.stage === 'past' ? this.since ?? undefined : undefined;
    const { cursor } = this.owner;
    return this.#floor && isAfter(this.#floor, cursor) ? this.#floor : cursor;
  }

  unsubscribe(): void {
    this.owner.remove(this);
  }

  /** The server knows it: what is older than this position is not for its live part. */
  admit(position: string): void {
    this.#floor = position;
    this.stage = this.since === null ? 'live' : 'past';
  }

  /** A message of the link. */
  take(message: Message): void {
    if (this.stage === 'new' || this.stage === 'over' || !isAfter(message.id, this.#floor)) return;
    if (this.stage === 'live') {
      this.deliver(message);
    } else if (this.#waiting.length < waitingMax) {
      this.#waiting.push(message);
    } else {
      this.#waiting.length = 0; // it is read from the past, then
      this.#dropped = message.id;
    }
  }

  /** Calls the handler, if a channel of the message is one of its own. */
  deliver(message: Message): void {
    const channels = message.channels.filter(
      (name) => this.names.some((pattern) => matches(pattern, name)));
    if (!channels.length) return;
    const all = channels.length === message.channels.length;
    safely(() => this.handler(all ? message : { ...message, channels }));
  }

  /** A piece of its past was delivered up to `next`. true: nothing is left to be read. */
  passed(next: string, last: boolean): boolean {
    this.since = this.#floor = next;
    if (!last || (this.#dropped && isAfter(this.#dropped, next))) return false;
    this.stage = 'live';
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const message of waiting) this.take(message);
    return true;
  }

  gap(): void {
    if (this.stage === 'live') this.#floor = undefined; // ids may begin anew
    if (this.stage === 'live' || this.stage === 'past') safely(() => this.options.gap?.());
  }

  end(failure: Failure | null): void {
    if (this.stage === 'over') return;
    this.stage = 'over';
    this.#waiting.length = 0;
    this.settled.reject(failure ?? new Failure(0, 'the subscription was ended'));
    safely(() => this.options.end?.(failure));
  }
}

function sinceText(since: Since | undefined): string | null {
  if (since === undefined || since === 'now') return null;
  return String(since instanceof Date ? since.getTime() : since);
}

/** What goes wrong in the program is reported as such, and does not stop the client. */
export function safely(call: () => void): void {
  try {
    call();
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
}

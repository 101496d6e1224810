// Which transport to try: the best one that works, and what worked is remembered.
import type { Options, TransportName } from './weir';

const rememberedMs = 24 * 3600e3;
const all: TransportName[] = ['websocket', 'sse', 'longpoll'];
/** Failures in a row after which one that has worked before is given up for now. */
const patience = 3;

export class Choice {
  readonly #list: TransportName[];
  readonly #storage: Options['storage'];
  readonly #key: string;
  readonly #worked = new Set<TransportName>();
  #at = 0;
  #failures = 0;

  constructor(base: string, options: Options, hasWebSocket: boolean) {
    this.#list = (options.transports ?? all)
      .filter((name) => name !== 'websocket' || hasWebSocket);
    if (!this.#list.length) throw new TypeError('no transport is left; no WebSocket class?');
    this.#key = `weir.transport ${base}`;
    this.#storage = options.storage === undefined ? localStorageOrNull() : options.storage;
    this.#recall();
  }

  get name(): TransportName {
    return this.#list[this.#at]!;
  }

  /** A better one than that in use, if there is any. */
  get better(): TransportName | undefined {
    return this.#at > 0 ? this.#list[0] : undefined;
  }

  best(): void {
    this.#at = this.#failures = 0;
  }

  worked(): void {
    this.#worked.add(this.name);
    try {
      this.#storage?.setItem(this.#key, JSON.stringify({ name: this.name, at: Date.now() }));
    } catch {
      // a full or forbidden storage: it is found out anew
    }
  }

  lasted(): void {
    this.#failures = 0;
  }

  /** The server could be reached, this transport did not work. true: go on with another, now. */
  failed(): boolean {
    this.#failures += 1;
    if (this.#failures < (this.#worked.has(this.name) ? patience : 1)) return false;
    this.#failures = 0;
    this.#at = (this.#at + 1) % this.#list.length;
    return this.#at > 0;
  }

  #recall(): void {
    try {
      const text = this.#storage?.getItem(this.#key);
      const kept = text ? (JSON.parse(text) as { name: TransportName; at: number }) : null;
      if (kept && Date.now() - kept.at < rememberedMs)
        this.#at = Math.max(0, this.#list.indexOf(kept.name));
    } catch {
      // somebody else's text
    }
  }
}

function localStorageOrNull(): Options['storage'] {
  try {
    return typeof document === 'undefined' ? null : localStorage;
  } catch {
    return null;
  }
}

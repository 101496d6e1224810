// Requests, their errors, and the token they carry.
import type { Message, Options, WeirError } from './weir';

export class Failure extends Error implements WeirError {
  override readonly name = 'WeirError';
  constructor(
    readonly status: number,
    message: string,
    readonly problem?: NonNullable<WeirError['problem']>,
    /** The server's own wish, from Retry-After. */
    readonly pauseMs = 0,
  ) {
    super(message);
  }

  /** The same request would be refused again, whoever sends it. */
  get final(): boolean {
    return this.status >= 400 && this.status < 500 && ![401, 408, 429].includes(this.status);
  }
}

export const asFailure = (error: unknown) =>
  error instanceof Failure ? error : new Failure(0, String((error as Error)?.message ?? error));

export interface Polled {
  messages: Message[];
  next: string;
  gap?: boolean;
  closed?: number[];
}

/** The token in use: asked for once, kept until it is refused or about to expire. */
export class Tokens {
  #token: string | undefined;
  #asking: Promise<string> | undefined;

  constructor(private readonly options: Options) {
    this.#token = options.token;
  }

  async get(): Promise<string | undefined> {
    const { getToken } = this.options;
    if (this.#token !== undefined || !getToken) return this.#token;
    this.#asking ??= Promise.resolve()
      .then(getToken)
      .finally(() => (this.#asking = undefined));
    this.#token = await this.#asking;
    return this.#token;
  }

  /** Whether another one can be had. One that was replaced meanwhile counts as another. */
  refused(token: string | undefined): boolean {
    if (token !== this.#token) return true;
    if (this.options.getToken) this.#token = undefined;
    return this.options.getToken !== undefined;
  }

  async renew(): Promise<void> {
    if (this.options.getToken) this.#token = undefined;
    await this.get();
  }

  /** In how many ms the token should be renewed; undefined: it need not, or cannot. */
  renewMs(): number | undefined {
    if (!this.options.getToken || !this.#token) return undefined;
    try {
      const part = this.#token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/');
      const { exp } = JSON.parse(atob(part)) as { exp?: number };
      if (typeof exp !== 'number') return undefined;
      const left = exp * 1000 - Date.now();
      return Math.max(0, left - Math.min(30_000, left / 4));
    } catch {
      return undefined; // a key
    }
  }
}

export class Http {
  readonly tokens: Tokens;
  readonly timeoutMs: number;
  readonly #fetch: typeof fetch;

  constructor(readonly base: string, options: Options) {
    this.tokens = new Tokens(options);
    this.timeoutMs = (options.timeoutSeconds ?? 10) * 1000;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  subscribePath(patterns: string[], more: Record<string, string>): string {
    const query = patterns.map((pattern) => `channel=${encodeURIComponent(pattern)}`);
    for (const [name, value] of Object.entries(more))
      query.push(`${name}=${encodeURIComponent(value)}`);
    return `/subscribe?${query.join('&')}`;
  }

  /** The answer once it is good; a refused token is renewed once. */
  async open(path: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
    for (let again = true; ; again = false) {
      const token = await this.tokens.get();
      const headers: Record<string, string> = { ...(init.headers as Record<string, string>) };
      if (token) headers['Authorization'] = `Bearer ${token}`;
      const answer = await this.#fetch(`${this.base}/api/v1${path}`, {
        ...init, headers, signal, cache: 'no-store',
        // Without a token a cookie may say who it is, to the application that the server asks.
        credentials: token ? 'omit' : 'same-origin',
      });
      if (answer.ok) return answer;
      const failure = await failureOf(answer);
      if (failure.status !== 401 || !this.tokens.refused(token) || !again) throw failure;
    }
  }

  /** JSON for JSON, within `ms`. */
  async ask<T>(
    path: string, init: RequestInit = {}, stop?: AbortSignal, ms = this.timeoutMs,
  ): Promise<T> {
    const abort = new AbortController();
    const onStop = () => abort.abort();
    const timer = setTimeout(onStop, ms);
    stop?.addEventListener('abort', onStop);
    if (stop?.aborted) abort.abort();
    try {
      const answer = await this.open(path, init, abort.signal);
      return (await answer.json()) as T;
    } catch (error) {
      throw asFailure(error);
    } finally {
      clearTimeout(timer);
      stop?.removeEventListener('abort', onStop);
    }
  }

  poll(patterns: string[], since: string, stop?: AbortSignal): Promise<Polled> {
    return this.ask(this.subscribePath(patterns, { since, mode: 'poll' }), {}, stop);
  }
}

async function failureOf(answer: Response): Promise<Failure> {
  const problem = (await answer.json().catch(() => ({}))) as NonNullable<WeirError['problem']>;
  const text = problem.detail ?? problem.title ?? answer.statusText;
  const pauseMs = Number(answer.headers.get('Retry-After')) * 1000 || 0;
  return new Failure(answer.status, `${answer.status} ${text}`, problem, pauseMs);
}

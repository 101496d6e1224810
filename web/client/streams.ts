// Two transports over plain HTTP: server-sent events, read through fetch so that the token stays
// out of the address, and long polls. For other patterns they are opened anew.
import { asFailure, Failure, type Polled } from './http';
import { Settled, Watch, type Link, type LinkSettings } from './link';
import type { Message } from './weir';

abstract class HttpLink implements Link {
  protected readonly abort = new AbortController();
  readonly #ended = new Settled<Failure | null>();
  readonly ended = this.#ended.promise;
  readonly publish = null;
  proven = false;

  constructor(protected readonly settings: LinkSettings) {}

  abstract open(patterns: string[], since: string | undefined): Promise<void>;

  add(patterns: string[]): Promise<boolean> {
    return Promise.resolve(patterns.length === 0);
  }

  remove(patterns: string[]): boolean {
    return patterns.length === 0;
  }

  close(): void {
    this.finish(null);
  }

  protected prove(): void {
    if (this.proven) return;
    this.proven = true;
    this.settings.owner.onProof();
  }

  protected finish(why: Failure | null): void {
    this.#ended.resolve(why); // the first one counts
    this.abort.abort();
  }
}

export class SseLink extends HttpLink {
  #rest = '';
  readonly #watch = new Watch(
    this.settings.heartbeatMs * 2, () => this.finish(new Failure(0, 'the event stream is silent')));

  async open(patterns: string[], since: string | undefined): Promise<void> {
    const { http, timeoutMs } = this.settings;
    const path = http.subscribePath(patterns, since === undefined ? {} : { since });
    const timer = setTimeout(
      () => this.finish(new Failure(0, 'the event stream does not open')), timeoutMs);
    try {
      const headers = { Accept: 'text/event-stream' };
      const answer = await http.open(path, { headers }, this.abort.signal);
      if (!answer.body || !answer.headers.get('Content-Type')?.startsWith('text/event-stream'))
        throw new Failure(0, 'no event stream');
      this.#watch.heard();
      void this.#read(answer.body.getReader());
    } catch (error) {
      const why = asFailure(error);
      this.finish(why);
      throw why;
    } finally {
      clearTimeout(timer);
    }
  }

  protected override finish(why: Failure | null): void {
    this.#watch.stop();
    super.finish(why);
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new Failure(0, 'the event stream has ended');
        if (this.abort.signal.aborted) return;
        this.#watch.heard();
        this.prove();
        this.#take(decoder.decode(value, { stream: true }));
      }
    } catch (error) {
      this.finish(asFailure(error));
    }
  }

  /** The server ends lines with a line feed; a proxy may not change that. */
  #take(text: string): void {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop()!;
    for (const block of blocks) {
      let event = 'message';
      let data = '';
      for (const line of block.split('\n')) {
        if (line.startsWith('event: ')) event = line.slice(7);
        else if (line.startsWith('data: ')) data += line.slice(6);
      }
      const { owner } = this.settings;
      if (event === 'gap') owner.onGap();
      else if (event === 'closed') owner.onClosed((JSON.parse(data) as Polled).closed ?? []);
      else if (event === 'message' && data) owner.onMessage(JSON.parse(data) as Message);
    }
  }
}

export class LongPollLink extends HttpLink {
  open(patterns: string[], since: string | undefined): Promise<void> {
    void this.#run(patterns, since ?? 'now');
    return Promise.resolve();
  }

  async #run(patterns: string[], since: string): Promise<void> {
    const { http, owner, timeoutMs } = this.settings;
    // Short enough for what stands between: many close a request that is silent for 30 s.
    const timeout = Math.max(1, Math.round(this.settings.heartbeatMs / 1000));
    try {
      for (;;) {
        const path = http.subscribePath(
          patterns, { since, mode: 'longpoll', timeout: String(timeout) });
        const polled = await http.ask<Polled>(
          path, {}, this.abort.signal, timeout * 1000 + timeoutMs);
        if (this.abort.signal.aborted) return;
        this.prove();
        if (polled.gap) owner.onGap();
        for (const message of polled.messages) owner.onMessage(message);
        owner.onCursor((since = polled.next));
        if (polled.closed) owner.onClosed(polled.closed);
      }
    } catch (error) {
      this.finish(asFailure(error));
    }
  }
}

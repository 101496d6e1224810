// The WebSocket transport: patterns are added and removed on the open connection.
//
// A browser's program does not see pings; so after silence it asks something that is answered.
import { Failure } from './http';
import { Settled, Watch, type Link, type LinkSettings } from './link';
import type { Message, Options } from './weir';

type Socket = InstanceType<NonNullable<Options['WebSocket']>>;

interface Ack {
  ack: number;
  ok: boolean;
  id?: string;
  error?: { status: number; title?: string; detail?: string };
}

const expired = 4401;

export class WebSocketLink implements Link {
  readonly #ended = new Settled<Failure | null>();
  readonly ended = this.#ended.promise;
  readonly #waiting = new Map<number, Settled<Ack>>();
  readonly #watch: Watch;
  #socket: Socket | undefined;
  #ref = 0;
  proven = false;
  #over = false;
  #token: string | undefined;

  constructor(
    private readonly settings: LinkSettings,
    private readonly WebSocket: NonNullable<Options['WebSocket']>,
  ) {
    this.#watch = new Watch(settings.heartbeatMs, () => void this.#doubt());
  }

  async open(patterns: string[], since: string | undefined): Promise<void> {
    const { http } = this.settings;
    this.#token = await http.tokens.get();
    await this.#connect(`${http.base.replace(/^http/, 'ws')}/api/v1/subscribe`);
    this.#watch.heard();
    await this.#ask(this.#token === undefined ? { unsubscribe: [] } : { token: this.#token });
    this.proven = true;
    this.settings.owner.onProof();
    // A single question for all, so that their pasts come as one, in order.
    if (patterns.length) await this.#ask({ subscribe: patterns, since });
  }

  async add(patterns: string[]): Promise<boolean> {
    await this.#ask({ subscribe: patterns });
    return true;
  }

  remove(patterns: string[]): boolean {
    this.#ask({ unsubscribe: patterns }).catch(() => undefined); // the end of the link tells it
    return true;
  }

  publish = async (channels: (string | number)[], data: unknown) => {
    const { id } = await this.#ask({ publish: channels, data: data ?? null });
    return { id: id! };
  };

  close(): void {
    this.#finish(null);
  }

  async #connect(address: string): Promise<void> {
    const socket = new this.WebSocket(address, ['weir.v1.json']);
    this.#socket = socket;
    const opened = new Settled<void>();
    const timer = setTimeout(
      () => this.#finish(new Failure(0, 'the WebSocket does not open')), this.settings.timeoutMs);
    socket.onopen = () => opened.resolve();
    socket.onmessage = (event: { data: unknown }) => this.#take(event.data);
    socket.onerror = () => undefined; // onclose follows
    socket.onclose = (event: { code: number }) => {
      const text = `the WebSocket was closed (${event.code})`;
      this.#finish(new Failure(event.code === expired ? 401 : 0, text));
    };
    try {
      await Promise.race([opened.promise, this.ended.then((why) => {
        throw why ?? new Failure(0, 'closed');
      })]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What is asked is answered by its ref, or the link ends. */
  async #ask(question: object): Promise<Ack> {
    const answer = new Settled<Ack>();
    const ref = ++this.#ref;
    if (this.#over || !this.#socket) throw new Failure(0, 'the WebSocket is closed');
    this.#waiting.set(ref, answer);
    this.#socket.send(JSON.stringify({ ...question, ref }));
    const ack = await answer.promise;
    if (!ack.ok) {
      const { status = 0, detail, title } = ack.error ?? {};
      throw new Failure(status, `${status} ${detail ?? title ?? 'refused'}`, ack.error);
    }
    return ack;
  }

  #take(text: unknown): void {
    if (this.#over || typeof text !== 'string') return;
    const { owner } = this.settings;
    this.#watch.heard();
    const frame = JSON.parse(text) as
      Partial<Ack> & Partial<Message> & { gap?: boolean; closed?: number[] };
    if (frame.ack !== undefined) {
      this.#waiting.get(frame.ack)?.resolve(frame as Ack);
      this.#waiting.delete(frame.ack);
    } else if (frame.id !== undefined && frame.channels) {
      owner.onMessage(frame as Message);
    } else if (frame.gap) {
      owner.onGap();
    } else if (frame.closed) {
      owner.onClosed(frame.closed);
    }
  }

  async #doubt(): Promise<void> {
    const { timeoutMs } = this.settings;
    const timer = setTimeout(
      () => this.#finish(new Failure(0, 'the WebSocket is silent')), timeoutMs);
    await this.#ask({ unsubscribe: [] }).catch(() => undefined);
    clearTimeout(timer);
    if (!this.#over) this.#watch.heard();
  }

  #finish(why: Failure | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#watch.stop();
    if (why?.status === 401) this.settings.http.tokens.refused(this.#token);
    for (const answer of this.#waiting.values())
      answer.reject(why ?? new Failure(0, 'the client closed the connection'));
    this.#waiting.clear();
    const socket = this.#socket;
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.onerror = () => undefined;
      try {
        socket.close();
      } catch {
        // it never was open
      }
    }
    this.#ended.resolve(why);
  }
}

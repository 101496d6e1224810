// The live stream: an EventSource that comes back by itself, with growing pauses, and goes on
// after the last message it has seen. When the server says that messages are gone, the owner
// is told and reads history again.
import type { Api, Reading } from './api';

export type StreamState = 'connecting' | 'live' | 'waiting';

export interface StreamOwner {
  onReading(reading: Reading): void;
  onGap(): void;
  onState(state: StreamState): void;
}

const pauseMin = 500;
const pauseMax = 20_000;

export class Stream {
  #source: EventSource | null = null;
  #lastId = '';
  #pause = pauseMin;
  #timer = 0;

  constructor(
    private readonly api: Api,
    private readonly channel: string,
    private readonly owner: StreamOwner,
  ) {}

  start(): void {
    this.stop();
    this.owner.onState('connecting');
    const source = new EventSource(this.api.streamAddress(this.channel, this.#lastId));
    this.#source = source;
    source.onopen = () => {
      this.#pause = pauseMin;
      this.owner.onState('live');
    };
    source.onmessage = (event: MessageEvent<string>) => {
      if (event.lastEventId) this.#lastId = event.lastEventId;
      const message = JSON.parse(event.data) as { data: Reading };
      this.owner.onReading(message.data);
    };
    source.addEventListener('gap', () => this.owner.onGap());
    source.onerror = () => this.#retry();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #retry(): void {
    this.stop();
    this.owner.onState('waiting');
    this.#timer = window.setTimeout(() => this.start(), this.#pause * (0.5 + Math.random()));
    this.#pause = Math.min(this.#pause * 2, pauseMax);
  }
}

// A web application beside Weir, which is asked whether its users may subscribe.
import http from 'node:http';
import { once } from 'node:events';

export class Application {
  /** `decide(question, answer)` answers; `says` is what it does if nothing else is set. */
  static async start(t, decide, port = 0) {
    const app = new Application();
    app.decide = decide;
    app.asked = [];
    app.open = app.most = 0;
    app.server = http.createServer((request, answer) => app.#take(request, answer));
    app.server.listen(port, '127.0.0.1');
    await once(app.server, 'listening');
    app.port = app.server.address().port;
    app.url = `http://127.0.0.1:${app.port}/weir/auth?from=weir`;
    t.after(() => app.stop());
    return app;
  }

  async #take(request, answer) {
    this.most = Math.max(this.most, ++this.open);
    answer.on('close', () => (this.open -= 1));
    const parts = [];
    for await (const part of request) parts.push(part);
    const question = {
      method: request.method, url: request.url, headers: request.headers,
      ...JSON.parse(Buffer.concat(parts).toString()),
    };
    this.asked.push(question);
    await this.decide(question, answer);
  }

  stop() {
    this.server.closeAllConnections?.();
    this.server.close();
  }
}

export const json = (value, status = 200) => (question, answer) => {
  answer.writeHead(status, { 'content-type': 'application/json' });
  answer.end(JSON.stringify(value));
};

export const status = (code) => (question, answer) => answer.writeHead(code).end();

/** Bytes as they are, and then the end of the connection. */
export const raw = (text) => (question, answer) => answer.socket.end(text);

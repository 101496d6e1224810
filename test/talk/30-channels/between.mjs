// A way to the server that can be bad: it forwards bytes, looks at each request's head, and may
// refuse it, cut it off, or keep what comes back.
import { once } from 'node:events';
import net from 'node:net';

export class Between {
  /** refuse(head) gives the text to answer instead of the server, or nothing. */
  static async start(port, refuse = () => undefined) {
    const between = new Between();
    Object.assign(between, { target: port, refuse, heads: [], sockets: new Set(), holds: false });
    between.server = net.createServer((socket) => between.#serve(socket));
    between.server.listen(0, '127.0.0.1');
    await once(between.server, 'listening');
    between.url = `http://127.0.0.1:${between.server.address().port}`;
    return between;
  }

  #serve(client) {
    this.sockets.add(client);
    let head = '';
    let server;
    const end = () => {
      client.destroy();
      server?.destroy();
      this.sockets.delete(client);
    };
    client.on('error', end).on('close', end);
    client.on('data', (bytes) => {
      const text = bytes.toString('latin1');
      if (/^(GET|POST|OPTIONS) /.test(text)) {
        head = text;
        this.heads.push(head);
        const answer = this.refuse(head);
        if (answer !== undefined) {
          client.end(answer);
          return;
        }
      }
      if (!server) {
        server = net.connect({ port: this.target, host: '127.0.0.1' });
        server.on('error', end).on('close', end);
        server.on('data', (back) => this.holds || client.write(back));
      }
      server.write(bytes);
    });
  }

  /** How often this was asked for. */
  count(pattern) {
    return this.heads.filter((head) => pattern.test(head)).length;
  }

  /** Cuts every connection. */
  cut() {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  close() {
    this.server.close();
    this.cut();
  }
}

export const isWebSocket = (head) => /^upgrade: *websocket/im.test(head);
export const isStream = (head) => /^accept: *text\/event-stream/im.test(head);
export const forbidden = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

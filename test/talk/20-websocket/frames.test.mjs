// WebSocket byte by byte (RFC 6455): the handshake, frames, and what ends a connection.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Server, until } from '../harness.mjs';
import { frame, next } from './frames.mjs';

let server;
before(async () => (server = await Server.start({ args: ['--set', 'ws.ping_s=1'] })));
after(() => server.stop());

const upgrade = (rows = {}) => {
  const all = {
    Host: 'a', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', Authorization: `Bearer ${server.key}`, ...rows,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `GET /api/v1/subscribe?channel=x HTTP/1.1\r\n${lines}\r\n`;
};

async function open() {
  const raw = await server.connect();
  raw.send(upgrade());
  const answer = await raw.answer({ head: true });
  assert.equal(answer.status, 101);
  return raw;
}

test('the accept key is that of RFC 6455', async () => {
  const raw = await server.connect();
  raw.send(upgrade());
  const answer = await raw.answer({ head: true });
  assert.equal(answer.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  const key = createHash('sha1').update('dGhlIHNhbXBsZSBub25jZQ==' +
    '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  assert.equal(answer.headers['sec-websocket-accept'], key);
  raw.close();
});

for (const [name, rows, statuses] of [
  ['without a key', { 'Sec-WebSocket-Key': null }, [400]],
  ['with a key that is too short', { 'Sec-WebSocket-Key': 'c2hvcnQ=' }, [400]],
  ['of another version', { 'Sec-WebSocket-Version': '8' }, [400, 426]],
]) {
  test(`a handshake ${name} is refused`, async () => {
    const raw = await server.connect();
    raw.send(upgrade(rows));
    assert.ok(statuses.includes((await raw.answer()).status));
    raw.close();
  });
}

test('a ping is answered with its payload, also between fragments', async () => {
  const raw = await open();
  raw.send(Buffer.concat([
    frame(1, '{"subscribe":', { fin: false }), frame(9, 'hello'), frame(0, '["y"],"ref":1}'),
  ]));
  const pong = await next(raw);
  assert.deepEqual([pong.opcode, pong.text], [10, 'hello']);
  assert.deepEqual(JSON.parse((await next(raw)).text), { ack: 1, ok: true });
  raw.close();
});

test('frames in pieces of one byte are understood', async () => {
  const raw = await open();
  for (const byte of frame(1, '{"subscribe":["z"],"ref":2}')) {
    raw.send(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  assert.deepEqual(JSON.parse((await next(raw)).text), { ack: 2, ok: true });
  raw.close();
});

test('a close is answered with its code, then the connection ends', async () => {
  const raw = await open();
  raw.send(frame(8, Buffer.from([0x03, 0xe8])));
  assert.equal((await next(raw)).code, 1000);
  await raw.ended();
  raw.close();
});

for (const [name, bytes, codes] of [
  ['an unmasked frame', frame(1, '{}', { mask: false }), [1002]],
  ['a reserved bit', frame(1, '{}', { rsv: 0x40 }), [1002]],
  ['a reserved opcode', frame(3, ''), [1002]],
  ['a fragmented ping', frame(9, '', { fin: false }), [1002]],
  ['a ping over 125 bytes', frame(9, 'x'.repeat(126)), [1002]],
  ['a continuation of nothing', frame(0, 'x'), [1002]],
  ['a new message within another',
    Buffer.concat([frame(1, '{', { fin: false }), frame(1, '{}')]), [1002]],
  ['text that is no UTF-8', frame(1, Buffer.from([0xc3, 0x28])), [1007]],
  ['a close with one byte', frame(8, 'x'), [1002]],
  ['a close with a forbidden code', frame(8, Buffer.from([0x03, 0xed])), [1002]],
  ['a close whose reason is no UTF-8', frame(8, Buffer.from([0x03, 0xe8, 0xff])), [1002, 1007]],
  ['a frame beyond the limit', frame(1, '', {
    length: (bit) => [bit | 127, 0, 0, 0, 1, 0, 0, 0, 0],
  }), [1009]],
  ['a length with the highest bit', frame(1, '', {
    length: (bit) => [bit | 127, 0x80, 0, 0, 0, 0, 0, 0, 1],
  }), [1002, 1009]],
  ['a length that is not minimal', frame(1, '', { length: (bit) => [bit | 126, 0, 2] }), [1002]],
  ['a binary message', frame(2, '{}'), [1003, 1007]],
]) {
  test(`closed: ${name}`, async () => {
    const raw = await open();
    raw.send(bytes);
    const { opcode, code } = await next(raw);
    assert.equal(opcode, 8);
    assert.ok(codes.includes(code), `${code}`);
    await raw.ended();
    raw.close();
  });
}

test('the server pings a silent client', async () => {
  const raw = await open();
  await until(() => raw.bytes.length >= 2 && (raw.bytes[0] & 15) === 9, 'a ping');
  raw.close();
});

// WebSocket frames by hand, for clients that are wrong on purpose.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { until } from '../harness.mjs';

/** A frame of a client; `length(bit)` writes a length that is not the payload's. */
export function frame(opcode, payload, { fin = true, mask = true, rsv = 0, length } = {}) {
  const body = Buffer.from(payload);
  const head = [(fin ? 0x80 : 0) | rsv | opcode];
  const bit = mask ? 0x80 : 0;
  if (length) head.push(...length(bit));
  else if (body.length < 126) head.push(bit | body.length);
  else if (body.length < 65536) head.push(bit | 126, body.length >> 8, body.length & 255);
  else {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(BigInt(body.length));
    head.push(bit | 127, ...long);
  }
  if (!mask) return Buffer.concat([Buffer.from(head), body]);
  const key = randomBytes(4);
  return Buffer.concat([Buffer.from(head), key, body.map((byte, i) => byte ^ key[i % 4])]);
}

/** The next frame from the server that is no ping: { opcode, rsv, body, text, code }. */
export async function next(raw) {
  for (;;) {
    await until(() => raw.bytes.length >= 2 || raw.closed, 'a frame');
    if (raw.bytes.length < 2) return { opcode: null };
    const opcode = raw.bytes[0] & 15;
    const rsv = raw.bytes[0] & 0x70;
    assert.equal(raw.bytes[1] & 0x80, 0, 'a server does not mask');
    const short = raw.bytes[1] & 127;
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    await until(() => raw.bytes.length >= head, 'the head of a frame');
    const length = short < 126 ? short : short === 126 ? raw.bytes.readUInt16BE(2)
      : Number(raw.bytes.readBigUInt64BE(2));
    await until(() => raw.bytes.length >= head + length, 'a frame');
    const body = raw.bytes.subarray(head, head + length);
    raw.bytes = raw.bytes.subarray(head + length);
    if (opcode === 9) continue;
    return {
      opcode, rsv, body, text: body.toString(),
      code: opcode === 8 && length ? body.readUInt16BE(0) : null,
    };
  }
}

// Every case of the Autobahn test suite's list, by its number. Where that expects an echo, Weir
// acknowledges: a message is a JSON object here, so a payload is one, filled up with blanks. What
// is no text ends with 1003, what is no JSON with 1007. Sizes and counts are bounded: what is
// 4 MiB there is 1 MiB here, and 1,000 messages are 50.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { deflateRawSync, inflateRawSync, constants } from 'node:zlib';
import { Server } from '../harness.mjs';
import { frame, next } from './frames.mjs';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;
const KIB = 1024, MIB = 1024 * 1024;
const LARGEST = 1152 * KIB; // ws.message_bytes_max by default: 1 MiB of data and what is around it

async function open(extensions) {
  const raw = await server.connect();
  raw.send('GET /api/v1/subscribe HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n' +
    'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
    `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer ${server.key}\r\n` +
    `${extensions ? `Sec-WebSocket-Extensions: ${extensions}\r\n` : ''}\r\n`);
  const answer = await raw.answer({ head: true });
  assert.equal(answer.status, 101);
  raw.extensions = answer.headers['sec-websocket-extensions'];
  return raw;
}

/** What Weir acknowledges, of this many bytes (at least 24); `ref` comes back. */
function call(bytes = 0, ref = 1) {
  const text = `{"subscribe":[],"ref":${JSON.stringify(ref)}`;
  return `${text}${' '.repeat(Math.max(bytes - Buffer.byteLength(text) - 1, 0))}}`;
}

const ack = (ref = 1) => ({ ack: ref });
const pong = (payload) => ({ pong: Buffer.from(payload).toString('latin1') });
const close = (...codes) => ({ close: codes });
const broken = close(1002);

async function expectOne(raw, wanted) {
  const got = await next(raw);
  if (wanted.close) {
    assert.equal(got.opcode, CLOSE, `a close, not ${got.text}`);
    assert.ok(wanted.close.includes(got.code), `close ${got.code}, not ${wanted.close}`);
    await raw.ended();
    assert.equal(raw.bytes.length, 0, 'nothing comes after a close');
  } else if (wanted.pong !== undefined) {
    assert.equal(got.opcode, PONG);
    assert.equal(got.body.toString('latin1'), wanted.pong);
  } else {
    assert.equal(got.opcode, TEXT, `an acknowledgement, not close ${got.code}`);
    assert.deepEqual(JSON.parse(got.text), { ack: wanted.ack, ok: true });
  }
}

/** One case: what is sent, in pieces of `chop` bytes, and what must come for it. A connection that
 *  is to stay is closed at the end, as 7.3.3 does. */
function conform(number, sent, wanted, { chop, extensions } = {}) {
  test(number, async () => {
    const raw = await open(extensions);
    try {
      const bytes = Buffer.concat([sent].flat());
      for (let at = 0; at < bytes.length; at += chop ?? bytes.length) {
        raw.send(bytes.subarray(at, at + (chop ?? bytes.length)));
        if (chop && (at / chop) % 64 === 0) await new Promise(setImmediate);
      }
      const all = [wanted].flat();
      for (const one of all) await expectOne(raw, one);
      if (all.at(-1)?.close) return;
      raw.send(frame(CLOSE, code(1000)));
      await expectOne(raw, close(1000));
    } finally {
      raw.close();
    }
  });
}

const code = (number, reason = '') =>
  Buffer.concat([Buffer.from([number >> 8, number & 255]), Buffer.from(reason)]);
const text = (bytes, options) => frame(TEXT, call(bytes), options);
const hex = (digits) => Buffer.from(digits, 'hex');

/** A message cut into these pieces, one frame each. */
function fragments(pieces, opcode = TEXT, { rsv = 0, between } = {}) {
  return pieces.flatMap((piece, i) => [
    frame(i ? 0 : opcode, piece, { fin: i === pieces.length - 1, rsv: i ? 0 : rsv }),
    ...(between && i < pieces.length - 1 ? [between] : []),
  ]);
}

function cut(payload, size) {
  const whole = Buffer.from(payload);
  const pieces = [];
  for (let at = 0; at < whole.length; at += size) pieces.push(whole.subarray(at, at + size));
  return pieces;
}

const group = (name, body) => describe(name, { concurrency: 8 }, body);

group('1 framing', () => {
  const sizes = [0, 125, 126, 127, 128, 65535, 65536];
  sizes.forEach((size, i) => {
    conform(`1.1.${i + 1}`, size ? text(size) : frame(TEXT, ''), size ? ack() : close(1007));
    conform(`1.2.${i + 1}`, frame(BINARY, call(size)), close(1003));
  });
  conform('1.1.8', text(65536), ack(), { chop: 997 });
  conform('1.2.8', frame(BINARY, call(65536)), close(1003), { chop: 997 });
});

group('2 pings and pongs', () => {
  const odd = hex('00fffefdfcfb00ff');
  conform('2.1', frame(PING, ''), pong(''));
  conform('2.2', frame(PING, 'Hello, world!'), pong('Hello, world!'));
  conform('2.3', frame(PING, odd), pong(odd));
  conform('2.4', frame(PING, Buffer.alloc(125, 0xfe)), pong(Buffer.alloc(125, 0xfe)));
  conform('2.5', frame(PING, Buffer.alloc(126, 0xfe)), broken);
  conform('2.6', frame(PING, Buffer.alloc(125, 0xfe)), pong(Buffer.alloc(125, 0xfe)), { chop: 1 });
  conform('2.7', frame(PONG, ''), []);
  conform('2.8', frame(PONG, 'unsolicited'), []);
  conform('2.9', [frame(PONG, 'unsolicited'), frame(PING, 'payload')], pong('payload'));
  const ten = Array.from({ length: 10 }, (_, i) => `payload-${i}`);
  conform('2.10', ten.map((one) => frame(PING, one)), ten.map(pong));
  conform('2.11', ten.map((one) => frame(PING, one)), ten.map(pong), { chop: 1 });
});

group('3 reserved bits', () => {
  conform('3.1', text(0, { rsv: 0x10 }), broken);
  const after = (rsv) => [text(), text(0, { rsv }), frame(PING, '')];
  conform('3.2', after(0x20), [ack(), broken]);
  conform('3.3', after(0x30), [ack(), broken]);
  conform('3.4', after(0x40), [ack(), broken], { chop: 1 });
  conform('3.5', frame(BINARY, 'x', { rsv: 0x50 }), broken);
  conform('3.6', frame(PING, 'x', { rsv: 0x60 }), broken);
  conform('3.7', frame(CLOSE, code(1000), { rsv: 0x70 }), broken);
});

group('4 opcodes', () => {
  for (const [base, first] of [['4.1', 3], ['4.2', 11]]) {
    conform(`${base}.1`, frame(first, ''), broken);
    conform(`${base}.2`, frame(first + 1, 'payload'), broken);
    for (let i = 2; i < 5; i++)
      conform(`${base}.${i + 1}`,
        [text(), frame(first + i, i > 2 ? 'payload' : ''), frame(PING, '')], [ack(), broken]);
  }
});

group('5 fragmentation', () => {
  const halves = [call(40).slice(0, 17), call(40).slice(17)];
  const ping = frame(PING, 'ping');
  conform('5.1', fragments(['frag', 'ment'], PING), broken);
  conform('5.2', fragments(['frag', 'ment'], PONG), broken);
  conform('5.3', fragments(halves), ack());
  conform('5.4', fragments(halves), ack(), { chop: 16 });
  conform('5.5', fragments(halves), ack(), { chop: 1 });
  const between = fragments(halves, TEXT, { between: ping });
  conform('5.6', between, [pong('ping'), ack()]);
  conform('5.7', between, [pong('ping'), ack()], { chop: 16 });
  conform('5.8', between, [pong('ping'), ack()], { chop: 1 });
  for (const [number, fin, chop] of [['5.9', true], ['5.10', true, 16], ['5.11', true, 1],
    ['5.12', false], ['5.13', false, 16], ['5.14', false, 1]])
    conform(number, [frame(0, 'nothing to continue', { fin }), text()], broken, { chop });
  conform('5.15', [...fragments(halves), frame(0, 'x', { fin: false }), text()], [ack(), broken]);
  const lone = (fin) => [frame(0, 'x', { fin }), text(), frame(0, 'x', { fin }), text()];
  conform('5.16', lone(false), broken);
  conform('5.17', lone(true), broken);
  conform('5.18', [frame(TEXT, 'frag', { fin: false }), frame(TEXT, 'ment')], broken);
  const five = cut(call(50), 10);
  const pings = [0, 1, 2, 3, 4].flatMap((i) => [
    frame(i ? 0 : TEXT, five[i], { fin: i === 4 }), ...(i === 1 || i === 3 ? [ping] : [])]);
  conform('5.19', pings, [pong('ping'), pong('ping'), ack()]);
  conform('5.20', pings, [pong('ping'), pong('ping'), ack()], { chop: 1 });
});

// ── 6: a text is a `ref`, so what is valid comes back ──

const around = (bytes) => Buffer.concat(
  [Buffer.from('{"subscribe":[],"ref":"'), bytes, Buffer.from('"}')]);
const valid = (number, digits, frames) => {
  const bytes = hex(digits);
  conform(number, frames ?? frame(TEXT, around(bytes)), ack(bytes.toString()));
};
const invalid = (number, digits) =>
  conform(number, frame(TEXT, around(hex(digits))), close(1007));

group('6.1-6.5 UTF-8 in frames', () => {
  conform('6.1.1', frame(TEXT, ''), close(1007));
  conform('6.1.2', fragments(['', '', '']), close(1007));
  conform('6.1.3', fragments(['', call(), '']), ack());
  const hello = Buffer.from('Hello-µ@ßöäüàá-UTF-8!!').toString('hex');
  const kosme = 'cebae1bdb9cf83cebcceb5';
  valid('6.2.1', hello);
  valid('6.2.2', hello, fragments([around(hex(hello)).subarray(0, 31),
    around(hex(hello)).subarray(31)]));
  valid('6.2.3', hello, fragments(cut(around(hex(hello)), 1)));
  valid('6.2.4', kosme, fragments(cut(around(hex(kosme)), 1)));
  const wrong = around(hex(`${kosme}eda080656469746564`));
  conform('6.3.1', frame(TEXT, wrong), close(1007));
  conform('6.3.2', fragments(cut(wrong, 1)), close(1007));
  // Fast failures: the end of the message never comes.
  const start = Buffer.concat([Buffer.from('{"subscribe":[],"ref":"'), hex(kosme)]);
  conform('6.4.1', fragments([start, hex('f4908080'), '"}']).slice(0, 2), close(1007));
  conform('6.4.2', fragments([start, hex('f490'), '"}']).slice(0, 2), close(1007));
  const whole = frame(TEXT, Buffer.concat([start, hex('f4908080'), Buffer.from('"}')]));
  conform('6.4.3', whole.subarray(0, -2), close(1007));
  conform('6.4.4', whole.subarray(0, -4), close(1007), { chop: 1 });
  [[1, 24], [2, 30], [3, 31], [4, 33], [5, 40]].forEach(([i, at]) =>
    valid(`6.5.${i}`, hello, fragments([around(hex(hello)).subarray(0, at),
      around(hex(hello)).subarray(at)])));
});

group('6.6-6.23 UTF-8 sequences', () => {
  const kosme = 'cebae1bdb9cf83cebcceb5';
  for (let bytes = 1; bytes <= 11; bytes++)
    ([2, 5, 7, 9, 11].includes(bytes) ? valid : invalid)(`6.6.${bytes}`, kosme.slice(0, 2 * bytes));
  invalid('6.7.1', '00'); // UTF-8, but no JSON
  const range = (from, to, tail = '20') => {
    let digits = '';
    for (let byte = from; byte <= to; byte++) digits += byte.toString(16) + tail;
    return digits;
  };
  const beyond = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16].flatMap((plane) => {
    const one = String.fromCodePoint(plane * 0x10000 + 0xfffe, plane * 0x10000 + 0xffff);
    const digits = Buffer.from(one).toString('hex');
    return [digits.slice(0, 8), digits.slice(8)];
  });
  const missing = ['c0', 'e080', 'f08080', 'f8808080', 'fc80808080', 'df', 'efbf', 'f7bfbf',
    'fbbfbfbf', 'fdbfbfbfbf'];
  const table = [
    ['6.7.', 2, valid, ['c280', 'e0a080', 'f0908080']],
    ['6.8.', 1, invalid, ['f888808080', 'fc8480808080']],
    ['6.9.', 1, valid, ['7f', 'dfbf', 'efbfbf', 'f48fbfbf']],
    ['6.10.', 1, invalid, ['f7bfbfbf', 'fbbfbfbfbf', 'fdbfbfbfbfbf']],
    ['6.11.', 1, valid, ['ed9fbf', 'ee8080', 'efbfbd', 'f48fbfbf']],
    ['6.11.', 5, invalid, ['f4908080']],
    ['6.12.', 1, invalid, ['80', 'bf', '80bf', '80bf80', '80bf80bf', '80bf80bf80',
      '80bf80bf80bf', range(0x80, 0xbe, '')]],
    ['6.13.', 1, invalid, [range(0xc0, 0xdf), range(0xe0, 0xef), range(0xf0, 0xf7),
      range(0xf8, 0xfb), range(0xfc, 0xfd)]],
    ['6.14.', 1, invalid, missing],
    ['6.15.', 1, invalid, [missing.join('')]],
    ['6.16.', 1, invalid, ['fe', 'ff', 'fefeffff']],
    ['6.17.', 1, invalid, ['c0af', 'e080af', 'f08080af', 'f8808080af', 'fc80808080af']],
    ['6.18.', 1, invalid, ['c1bf', 'e09fbf', 'f08fbfbf', 'f887bfbfbf', 'fc83bfbfbfbf']],
    ['6.19.', 1, invalid, ['c080', 'e08080', 'f0808080', 'f880808080', 'fc8080808080']],
    ['6.20.', 1, invalid, ['eda080', 'edadbf', 'edae80', 'edafbf', 'edb080', 'edbe80', 'edbfbf']],
    ['6.21.', 1, invalid, ['eda080edb080', 'eda080edbfbf', 'edadbfedb080', 'edadbfedbfbf',
      'edae80edb080', 'edae80edbfbf', 'edafbfedb080', 'edafbfedbfbf']],
    ['6.22.', 1, valid, ['efbfbe', 'efbfbf', ...beyond]],
    ['6.23.', 1, valid, ['efbfb9', 'efbfba', 'efbfbb', 'efbfbc', 'efbfbd', 'efbfbe', 'efbfbf']],
  ];
  for (const [base, first, kind, list] of table)
    list.forEach((digits, i) => kind(`${base}${first + i}`, digits));
});

group('7 closing', () => {
  const bye = frame(CLOSE, code(1000));
  conform('7.1.1', [text(), bye], [ack(), close(1000)]);
  conform('7.1.2', [bye, bye], close(1000));
  conform('7.1.3', [bye, frame(PING, 'late')], close(1000));
  conform('7.1.4', [bye, text()], close(1000));
  conform('7.1.5', [frame(TEXT, '{', { fin: false }), bye, frame(0, '}')], close(1000));
  conform('7.1.6', [text(256 * KIB), bye, frame(PING, '')], [ack(), close(1000)]);
  conform('7.3.1', frame(CLOSE, ''), close(1000));
  conform('7.3.2', frame(CLOSE, 'a'), broken);
  conform('7.3.3', bye, close(1000));
  conform('7.3.4', frame(CLOSE, code(1000, 'Hello World!')), close(1000));
  conform('7.3.5', frame(CLOSE, code(1000, '*'.repeat(123))), close(1000));
  conform('7.3.6', frame(CLOSE, code(1000, '*'.repeat(124))), broken);
  conform('7.5.1', frame(CLOSE, Buffer.concat([code(1000), hex('cebae1bdb9eda080656469746564')])),
    close(1007));
  [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].forEach(
    (number, i) => conform(`7.7.${i + 1}`, frame(CLOSE, code(number)), close(number)));
  [0, 999, 1004, 1005, 1006, 1012, 1013, 1014, 1015, 1016, 1100, 2000, 2999].forEach(
    (number, i) => conform(`7.9.${i + 1}`, frame(CLOSE, code(number)), broken));
  [5000, 65535].forEach(
    (number, i) => conform(`7.13.${i + 1}`, frame(CLOSE, code(number)), broken));
});

group('9 limits', () => {
  [64 * KIB, 256 * KIB, MIB].forEach((size, i) => {
    conform(`9.1.${i + 1}`, text(size), ack());
    conform(`9.2.${i + 1}`, frame(BINARY, Buffer.alloc(size)), close(1003));
  });
  // The head says how long it is: nothing of the payload is waited for.
  [4, 8, 16].forEach((mib, i) => {
    const length = (bit) => [bit | 127, 0, 0, 0, 0, mib >> 4, (mib & 15) << 4, 0, 0];
    conform(`9.1.${i + 4}`, frame(TEXT, '{', { length }), close(1009));
    conform(`9.2.${i + 4}`, frame(BINARY, '{', { length }), close(1003));
  });
  [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB].forEach((size, i) => {
    conform(`9.3.${i + 1}`, fragments(cut(call(MIB), size)), ack());
    conform(`9.4.${i + 1}`, fragments(cut(call(64 * KIB), size), BINARY), close(1003));
  });
  conform('9.3.9', fragments(cut(call(LARGEST + 1), 256 * KIB)), close(1009));
  conform('9.4.9', fragments(cut(call(MIB), 256 * KIB), BINARY), close(1003));
  [64, 128, 256, 512, KIB, 2 * KIB].forEach((chop, i) => {
    conform(`9.5.${i + 1}`, text(MIB), ack(), { chop });
    conform(`9.6.${i + 1}`, frame(BINARY, call(64 * KIB)), close(1003), { chop });
  });
  [24, 32, 64, 256, KIB, 4 * KIB].forEach((size, i) => {
    const many = Array.from({ length: 50 }, (_, n) => n + 1);
    conform(`9.7.${i + 1}`, many.map((n) => frame(TEXT, call(size, n))), many.map(ack));
    conform(`9.8.${i + 1}`, many.map((n) => frame(BINARY, call(size, n))), close(1003));
  });
});

group('10 automatic fragmentation', () => {
  conform('10.1.1', fragments(cut(call(65536), 1300)), ack());
});

// ── 12, 13: compression ──

const answer = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

function pack(message) {
  const whole = deflateRawSync(message, { finishFlush: constants.Z_SYNC_FLUSH });
  return whole.subarray(0, -4);
}

/** `filler` of so many bytes in a member that nobody looks at. */
const filled = (filler, size, ref) => {
  const head = `{"subscribe":[],"ref":${ref},"x":"`;
  return `${head}${filler.repeat(size).slice(0, Math.max(size - head.length - 2, 0))}"}`;
};

const fillers = {
  1: 'time:1700000000,temp:4.25,batt:75;', 2: null, 3: 'To be, or not to be, that is ',
  4: 'ab', 5: 'The quick brown fox jumps over the lazy dog. ',
};

group('12 compressed messages', () => {
  const sizes = [16, 64, 256, KIB, 4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB, 128 * KIB];
  const pieces = [[8, 256], [16, 256], [32, 256], [64, 256], [128, 256], [128, KIB], [128, 4 * KIB],
    [128, 32 * KIB]];
  const extensions = 'permessage-deflate; client_max_window_bits';
  const refs = [1, 2, 3, 4, 5];
  for (const [set, filler] of Object.entries(fillers)) {
    const send = (number, size, piece) => {
      const messages = refs.map((ref) => pack(filled(filler ?? 'x', size, ref)));
      conform(number, messages.flatMap((one) =>
        fragments(piece ? cut(one, piece) : [one], filler ? TEXT : BINARY, { rsv: 0x40 })),
      filler ? refs.map(ack) : close(1003), { extensions });
    };
    sizes.forEach((size, i) => send(`12.${set}.${i + 1}`, size));
    pieces.forEach(([kib, piece], i) => send(`12.${set}.${i + 11}`, kib * KIB, piece));
  }
});

describe('13 what is agreed on', () => {
  const offers = [
    ['permessage-deflate', true],
    ['permessage-deflate; server_no_context_takeover', true],
    ['permessage-deflate; server_max_window_bits=9', false],
    ['permessage-deflate; server_max_window_bits=15', true],
    ['permessage-deflate; server_no_context_takeover; server_max_window_bits=9', false],
    ['permessage-deflate; server_no_context_takeover; server_max_window_bits=15', true],
    ['permessage-deflate; server_no_context_takeover; server_max_window_bits=9, ' +
      'permessage-deflate; server_no_context_takeover, permessage-deflate', true],
  ];
  offers.forEach(([extensions, taken], i) => test(`13.${i + 1}`, async () => {
    const raw = await open(extensions);
    assert.equal(raw.extensions, taken ? answer : undefined);
    raw.send(taken ? frame(TEXT, pack(call(200)), { rsv: 0x40 }) : text(200));
    await expectOne(raw, ack());
    const channel = `conform/${i}`;
    raw.send(frame(TEXT, JSON.stringify({ subscribe: [channel], ref: 2 })));
    await expectOne(raw, ack(2));
    await server.post('/api/v1/publish', { channels: [channel], data: 'data '.repeat(1000) });
    const got = await next(raw);
    assert.equal(got.rsv, taken ? 0x40 : 0);
    const plain = taken ? inflateRawSync(got.body,
      { finishFlush: constants.Z_SYNC_FLUSH }).toString() : got.text;
    assert.equal(JSON.parse(plain).data, 'data '.repeat(1000));
    raw.close();
  }));
});

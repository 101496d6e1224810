// Tokens that are nearly right, at every door that takes one: header, `?token=`, a WebSocket's
// upgrade and its first frame. (What one header may say: 60-admin/token.test.mjs.)
import assert from 'node:assert/strict';
import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { logIn, settle, subscriberToken } from '../15-rights/inhabitants.mjs';
import { assertProblem, Events, Server, until, within } from '../harness.mjs';

let server, main, acme, person;

before(async () => {
  // Wrong credentials are not throttled here: limits.test.mjs, guesses.test.mjs.
  server = await Server.start({ args: ['--set', 'rate.failures_per_s=100000'] });
  main = await settle(server);
  acme = await settle(server, 'acme');
  person = await logIn(server, 'adam');
});
after(() => server.stop());

const encode = (value) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const decode = (part) => JSON.parse(Buffer.from(part, 'base64url'));
const seconds = () => Math.floor(Date.now() / 1000);
const good = () => ({ aud: 'weir', exp: seconds() + 600, sub: 'eve',
  weir: { subscribe: ['talk/#'], publish: ['talk/in'] } });
const head = (more) => ({ alg: 'HS256', typ: 'JWT', kid: main.secret.id, ...more });
const seal = (text, key = main.secret.secret, hash = 'sha256') =>
  `${text}.${createHmac(hash, key).update(text).digest('base64url')}`;
/** Header and claims as values or as texts. */
const token = (header = head(), claims = good(), ...how) =>
  seal(`${encode(header)}.${encode(claims)}`, ...how);

/** Opens a WebSocket; null when the upgrade was refused. */
async function open(query, headers = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/subscribe${query}`, { headers });
  const client = { socket, frames: [], code: null };
  socket.on('message', (data) => client.frames.push(JSON.parse(data)));
  socket.on('close', (code) => (client.code = code));
  client.open = await within(new Promise((done) => {
    socket.on('open', () => done(true));
    socket.on('error', () => done(false));
  }), 'a WebSocket to open or not');
  return client;
}

// Whether a door lets a token in: for channel talk/in, which a subscriber's and a person's may hear.
const doorways = {
  'a header': async (text) => {
    const stream = await Events.open(server, '/api/v1/subscribe?channel=talk/in',
      { key: '', headers: { authorization: `Bearer ${text}` } });
    stream.close();
    return stream.status === 200;
  },
  'a header as of InfluxDB': async (text) => {
    const { status } = await server.request('POST', '/api/v1/publish',
      { key: false, headers: { authorization: `Token ${text}` }, body: { channels: ['talk/in'], data: 1 } });
    return status === 201;
  },
  '?token=': async (text) => {
    const stream = await Events.open(server,
      `/api/v1/subscribe?channel=talk/in&token=${encodeURIComponent(text)}`, { key: '' });
    stream.close();
    return stream.status === 200;
  },
  'an upgrade': async (text) => {
    const client = await open('?channel=talk/in', { authorization: `Bearer ${text}` });
    client.socket.terminate();
    return client.open;
  },
  'an upgrade with ?token=': async (text) => {
    const client = await open(`?channel=talk/in&token=${encodeURIComponent(text)}`);
    client.socket.terminate();
    return client.open;
  },
  'a first frame': async (text) => {
    const client = await open('');
    client.socket.send(JSON.stringify({ token: text, ref: 1 }));
    const answer = await until(() => client.frames[0] ?? (client.code !== null && {}), 'an answer');
    client.socket.terminate();
    return answer.ok === true;
  },
};

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const publicPem = publicKey.export({ type: 'spki', format: 'pem' });
function rsa(header) {
  const text = `${encode(header)}.${encode(good())}`;
  return `${text}.${createSign('sha256').update(text).sign(privateKey, 'base64url')}`;
}
const flip = (text, at) => {
  const next = text[at] === 'A' ? 'B' : 'A';
  return text.slice(0, at) + next + text.slice(at + 1);
};
const of = (text) => text.split('.');

const bad = {
  nothing: () => '',
  'two dots': () => '..',
  'alg none, in all letters': () => `${of(token(head({ alg: 'nOnE' }))).slice(0, 2).join('.')}.`,
  'alg as a list': () => token(head({ alg: ['HS256'] })),
  'alg null': () => token(head({ alg: null })),
  'no alg': () => token(head({ alg: undefined })),
  'alg with a NUL behind it': () => token(head({ alg: 'HS256\0' })),
  'alg twice, none last': () =>
    token(`{"alg":"HS256","kid":"${main.secret.id}","alg":"none"}`),
  'RS256': () => rsa(head({ alg: 'RS256' })),
  'RS256, the public key as the secret': () => token(head({ alg: 'RS256' }), good(), publicPem),
  'HS256 with a public key that the header brings': () =>
    token(head({ jwk: publicKey.export({ format: 'jwk' }), x5c: ['AAAA'] }), good(), publicPem),
  'HS256 with jku and x5u': () => token(
    head({ kid: 'x', jku: `http://127.0.0.1:${server.port}/docs`, x5u: 'file:///dev/null' }), good(), ''),
  'ES256': () => token(head({ alg: 'ES256' })),
  'a signature of HS512 under HS256': () => token(head(), good(), main.secret.secret, 'sha512'),
  'the kid of another tenant\'s secret': () => token(head({ kid: acme.secret.id })),
  'another tenant\'s key under this kid': () => token(head(), good(), acme.secret.secret),
  'the kid of the node\'s own secret': () => token(head({ kid: decode(of(person)[0]).kid })),
  'a kid that is a number': () => token(head({ kid: Number(main.secret.id) })),
  'a kid with a zero before it': () => token(head({ kid: `0${main.secret.id}` })),
  'a kid with a plus before it': () => token(head({ kid: `+${main.secret.id}` })),
  'a kid with a blank behind it': () => token(head({ kid: `${main.secret.id} ` })),
  'a kid with a NUL behind it': () => token(head({ kid: `${main.secret.id}\0` })),
  'a kid beyond 64 bits': () => token(head({ kid: `${(1n << 64n) + BigInt(main.secret.id)}` })),
  'a negative kid': () => token(head({ kid: '-1' })),
  'SQL as kid': () => token(head({ kid: `${main.secret.id}' UNION SELECT 'x'--` }), good(), 'x'),
  'a path as kid': () => token(head({ kid: '../../../../dev/null' }), good(), ''),
  'the secret\'s name as kid': () => token(head({ kid: 'pages' })),
  'a list as kid': () => token(head({ kid: [main.secret.id] })),
  'crit that is empty': () => token(head({ crit: [] })),
  'crit null': () => token(head({ crit: null })),
  'crit b64': () => token(head({ crit: ['b64'], b64: false })),
  'a header that is no object': () => token('"HS256"'),
  'a header with something behind it': () => token(`${JSON.stringify(head())}{}`),
  'a header of 10 kB': () => token(head({ pad: 'x'.repeat(10_000) })),
  'a header too deep': () => token(`{"x":${'['.repeat(100)}${']'.repeat(100)},${JSON.stringify(head()).slice(1)}`),
  'claims that are a list': () => token(head(), [good()]),
  'claims too deep': () => token(head(), { ...good(), x: JSON.parse('['.repeat(100) + ']'.repeat(100)) }),
  'claims with something behind them': () => token(head(), `${JSON.stringify(good())} {}`),
  'claims that are no UTF-8': () => token(head(), Buffer.from('{"sub":"\xff"}', 'latin1').toString('latin1')),
  'claims of 6 kB': () => token(head(), { ...good(), pad: 'x'.repeat(6000) }),
  'exp in the past': () => token(head(), { ...good(), exp: seconds() - 1 }),
  'exp 0': () => token(head(), { ...good(), exp: 0 }),
  'exp below 0': () => token(head(), { ...good(), exp: -1 }),
  'exp as text': () => token(head(), { ...good(), exp: String(seconds() + 60) }),
  'exp true': () => token(head(), { ...good(), exp: true }),
  'exp null': () => token(head(), { ...good(), exp: null }),
  'exp NaN': () => token(head(), JSON.stringify(good()).replace(/"exp":\d+/, '"exp":NaN')),
  'exp twice, the past last': () =>
    token(head(), `${JSON.stringify(good()).slice(0, -1)},"exp":1}`),
  'nbf in the future': () => token(head(), { ...good(), nbf: seconds() + 60 }),
  'nbf as text': () => token(head(), { ...good(), nbf: '0' }),
  'iat in the future': () => token(head(), { ...good(), iat: seconds() + 60 }),
  'a list of other audiences': () => token(head(), { ...good(), aud: ['weir-user', 'mosquitto'] }),
  'an empty list of audiences': () => token(head(), { ...good(), aud: [] }),
  'an audience within an audience': () => token(head(), { ...good(), aud: [['weir']] }),
  'an audience in capitals': () => token(head(), { ...good(), aud: 'WEIR' }),
  'an audience with a NUL': () => token(head(), { ...good(), aud: 'weir\0' }),
  'a person\'s claims': () => token(head(), { ...decode(of(person)[1]), aud: 'weir-user' }),
  'a person\'s claims under the node\'s kid': () => token(of(person)[0] && decode(of(person)[0]), decode(of(person)[1])),
  'sub with lines': () => token(head(), { ...good(), sub: 'eve\r\nX-Injected: 1' }),
  'a claim weir that is a list': () => token(head(), { ...good(), weir: ['#'] }),
  'a pattern that is a number': () => token(head(), { ...good(), weir: { subscribe: [7] } }),
  'ten thousand patterns': () => token(head(), { ...good(), weir: { subscribe: Array(10_000).fill('#') } }),
  'no signature': () => `${of(token()).slice(0, 2).join('.')}.`,
  'half a signature': () => token().slice(0, -20),
  'a signature with one letter altered': () => flip(token(), token().length - 10),
  'a signature with its spare bits set': () => {
    const text = token();
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return text.slice(0, -1) + letters[letters.indexOf(text.at(-1)) ^ 1];
  },
  'a padded signature': () => `${token()}=`,
  'a signature in plain base64': () => {
    for (;;) {
      const text = token(head({ n: Math.random() }));
      if (/[-_][^.]*$/.test(text)) return text.replace(/[^.]*$/, (mac) => mac.replaceAll('-', '+').replaceAll('_', '/'));
    }
  },
  'a signature behind a line': () => `${token()}\n`,
  'a blank in it': () => token().replace('.', ' .'),
  'a fourth part': () => `${token()}.AAAA`,
  'an altered claim': () => {
    const [header, claims, mac] = of(token());
    return `${header}.${encode({ ...decode(claims), weir: { subscribe: ['#'] } })}.${mac}`;
  },
  'an altered header': () => {
    const [header, claims, mac] = of(token());
    return `${encode({ ...decode(header), n: 1 })}.${claims}.${mac}`;
  },
  'a person\'s token with another name': () => {
    const [header, claims, mac] = of(person);
    return `${header}.${encode({ ...decode(claims), sub: 'dave@main', uid: 2 })}.${mac}`;
  },
  'a person\'s token with alg none': () => `${encode({ ...decode(of(person)[0]), alg: 'none' })}.${of(person)[1]}.`,
  'a person\'s token under a subscriber\'s kid': () =>
    `${encode(head())}.${of(person)[1]}.${of(person)[2]}`,
  'two tokens': () => `${token()},${token()}`,
  'one byte more than there is room for': () => `${token()}${'A'.repeat(8000)}`,
};

for (const [where, enter] of Object.entries(doorways)) {
  test(`a good token passes ${where}, and nothing that is nearly one`, async () => {
    assert.equal(await enter(token()), true);
    for (const [what, make] of Object.entries(bad)) {
      const text = make();
      if (where.includes('header') && /[\r\n]/.test(text)) continue;
      if (where === 'an upgrade' && /[\r\n]/.test(text)) continue;
      // No token at all is another thing where an upgrade may bring it later.
      if (text === '' && where.includes('?token=')) continue;
      assert.equal(await enter(text), false, what);
    }
    assert.equal(await enter(token()), true);
  });
}

test('what is unusual and right is taken', async () => {
  for (const claims of [{ aud: ['mosquitto', 'weir'] }, { nbf: seconds() - 60 }, { nbf: seconds() + 1 },
    { exp: seconds() + 600.5 }, { exp: 1e15 }, { iss: 'shop' }, { uid: 1, gen: 1 }, { sub: undefined }])
    assert.equal(await doorways['a first frame'](token(head(), { ...good(), ...claims })), true, JSON.stringify(claims));
});

test('a subscriber is no person and no key, whatever his token claims', async () => {
  const text = token(head(), { ...decode(of(person)[1]), ...good(), permission: 'admin', node: true,
    rights: ['read', 'write'], tenant: 'acme', weir: { ...good().weir, read: ['#'], admin: true, rights: 'admin' } });
  const ask = (method, path, body) => server.request(method, path, { key: text, body });
  for (const [method, path, body] of [['GET', '/api/v1/series'], ['GET', '/api/v1/raw'], ['GET', '/api/v1/me'],
    ['GET', '/api/v1/admin/users'], ['POST', '/api/v1/readings', '[]'], ['POST', '/write', 'm v=1']])
    assertProblem(await ask(method, path, body), 403);
  assertProblem(await ask('GET', '/api/v1/admin/token'), 401);
  assertProblem(await ask('DELETE', '/api/v1/admin/token'), 401);
});

test('a person\'s token is good at every door, and where a password is asked for it is not one', async () => {
  for (const [where, enter] of Object.entries(doorways)) assert.equal(await enter(person), true, where);
  const basic = (name, word) => ({ authorization: `Basic ${Buffer.from(`${name}:${word}`).toString('base64')}` });
  for (const word of [person, subscriberToken(main.secret, good().weir), main.secret.secret, main.tokens.own])
    assertProblem(await server.request('POST', '/api/v1/admin/token', { key: false, headers: basic('adam', word) }), 401);
  for (const name of ['device-own', `gateway-${main.gateways.own}`])
    assertProblem(await server.get('/api/v1/series', { key: false, headers: basic(name, person) }), 401);
});

test('another tenant\'s token hears and says nothing here', async () => {
  const listener = await open('?channel=talk/in', { authorization: `Bearer ${token()}` });
  const theirs = token(head({ kid: acme.secret.id }), good(), acme.secret.secret);
  const publish = (key, data) => server.request('POST', '/api/v1/publish',
    { key, body: { channels: ['talk/in'], data } });
  assert.equal((await publish(theirs, 'theirs')).status, 201);
  assert.equal((await publish(token(), 'ours')).status, 201);
  await until(() => listener.frames.some(({ data }) => data === 'ours'), 'our message');
  assert.ok(!listener.frames.some(({ data }) => data === 'theirs'));
  listener.socket.terminate();
});

test('of two tokens in one request the header\'s counts alone', async () => {
  const ask = (key, query) => server.get(`/api/v1/series?token=${query}`, { key });
  assert.equal((await ask(person, 'rubbish')).status, 200);
  assertProblem(await ask('rubbish', person), 401);
  assertProblem(await server.get(`/api/v1/series?token=rubbish&token=${person}`, { key: false }), 401);
});

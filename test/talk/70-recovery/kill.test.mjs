// kill -9 at any moment under load: what was acknowledged is there afterwards, each once.
// (This says nothing about syncing: the page cache survives. The simulated disk does that.)
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { long, request, serve } from '../harness.mjs';

const kills = long ? 2000 : 200;
const lanes = 2;
const writers = 3;
const t0 = 1_700_000_000_000;

/** mulberry32: the same seed gives the same moments. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Sends readings one after the other until the server is gone; notes what was acknowledged. */
async function write(server, device, state) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  try {
    for (;;) {
      const n = state.sent++;
      const body = { device: { id: device }, readings: [{ time: t0 + n, n }] };
      const answer = await request(server.port, 'POST', '/api/v1/readings',
        { body, key: server.key, agent });
      assert.equal(answer.status, 202, answer.text);
      assert.equal(answer.json().accepted, 1);
      state.acknowledged.push(n);
    }
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
  } finally {
    agent.destroy();
  }
}

async function check(server, device, { sent, acknowledged }) {
  const range = `device=${device}&from=0&to=${Date.now() + 60_000}`;
  const { series } = (await server.get(`/api/v1/query?metric=n&${range}`)).json();
  const points = series[0]?.points ?? [];
  const there = new Set(points.map(([, value]) => value));
  assert.equal(there.size, points.length, 'no point twice');
  for (const [time, value] of points) assert.ok(time === t0 + value && value < sent);
  for (const n of acknowledged) assert.ok(there.has(n), `${device}: ${n} was acknowledged`);
  const raw = (await server.get(`/api/v1/raw?${range}`)).text.trim();
  const kept = raw ? raw.split('\n').map((row) => JSON.parse(row).message.readings[0].n) : [];
  assert.equal(new Set(kept).size, kept.length, 'no message twice');
  assert.deepEqual([...there].sort((a, b) => a - b), kept.sort((a, b) => a - b));
}

for (let lane = 0; lane < lanes; lane++) {
  test(`${kills / lanes} kills, lane ${lane}`, { concurrency: true }, async (t) => {
    const seed = (Date.now() & 0xffffff) * lanes + lane;
    t.diagnostic(`seed ${seed}`);
    const next = random(seed);
    const server = await serve(t);
    for (let round = 0; round < kills / lanes; round++) {
      const states = Array.from({ length: writers }, () => ({ sent: 0, acknowledged: [] }));
      const name = (i) => `l${lane}r${round}w${i}`;
      const work = states.map((state, i) => write(server, name(i), state));
      await new Promise((wake) => setTimeout(wake, next() * 60));
      await server.kill9();
      await Promise.all(work);
      await server.again();
      for (let i = 0; i < writers; i++) await check(server, name(i), states[i]);
      if (round % 20 === 19) {
        await server.stop();
        await server.again();
        for (let i = 0; i < writers; i++) await check(server, name(i), states[i]);
      }
    }
  });
}

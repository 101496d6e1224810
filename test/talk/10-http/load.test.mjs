// Much at once: bodies without end, thousands of connections.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { test } from 'node:test';
import { long, serve } from '../harness.mjs';

const t0 = 1_700_000_000_000;

/** Most memory the process ever had, in MiB. */
function peak(pid) {
  const [, kib] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(kib) / 1024;
}

test('a body far larger than any buffer never sits in memory', { timeout: 600_000 }, async (t) => {
  const server = await serve(t, {
    env: { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:quarantine_size_mb=4` },
  });
  assert.equal((await server.post('/write', 'warm v=1')).status, 204);
  const before = peak(server.pid);
  const mebibytes = long ? 1024 : 128;
  const chunk = `# ${'c'.repeat(65_000)}\n`.repeat(15) + `big v=1 ${t0}000000\n`;
  const raw = await server.connect();
  raw.send('POST /write HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n' +
    `Authorization: Bearer ${server.key}\r\n\r\n`);
  for (let sent = 0; sent < mebibytes << 20; sent += chunk.length) {
    assert.equal(raw.closed, false, raw.text);
    if (!raw.socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`))
      await once(raw.socket, 'drain');
  }
  raw.send('0\r\n\r\n');
  assert.equal((await raw.answer()).status, 204);
  raw.close();
  const grown = peak(server.pid) - before;
  assert.ok(grown < 64, `grew by ${grown.toFixed(0)} MiB for a body of ${mebibytes} MiB`);
});

const haveAb = spawnSync('ab', ['-V']).status === 0;

for (const [name, options] of [['closing', []], ['keeping', ['-k']]]) {
  test(`ab, ${name} connections, 5,000 at once, runs clean`,
    { skip: haveAb ? false : 'ab is not installed', timeout: 120_000 }, async (t) => {
      const server = await serve(t);
      const command = ['-q', '-l', ...options, '-n', '15000', '-c', '5000',
        `http://127.0.0.1:${server.port}/version`];
      const run = spawnSync('sh', ['-c', `ulimit -n 12000 && exec ab ${command.join(' ')}`],
        { encoding: 'utf8' });
      assert.equal(run.status, 0, run.stdout + run.stderr);
      assert.match(run.stdout, /Complete requests:\s+15000/);
      assert.match(run.stdout, /Failed requests:\s+0/);
      assert.doesNotMatch(run.stdout, /Non-2xx/);
    });
}

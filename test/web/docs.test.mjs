// The page /docs in headless Chromium: every call of the document, found, opened, and explained.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { Server } from '../talk/harness.mjs';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const skip = existsSync(executablePath) ? false : 'no Chromium here';
let server;
let browser;

before(async () => {
  if (skip) return;
  server = await Server.start();
  browser = await chromium.launch({
    executablePath, headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

async function open(t, hash = '') {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error));
  page.on('console', (line) => line.type() === 'error' && errors.push(line.text()));
  t.after(async () => {
    await context.close();
    assert.deepEqual(errors, []);
  });
  await page.goto(`${server.url}/docs${hash}`);
  await page.waitForSelector('.call');
  return page;
}

test('every call of the document is there, and opens', { skip }, async (t) => {
  const page = await open(t);
  const { paths } = (await server.get('/api/v1/openapi.json')).json();
  const ids = Object.values(paths).flatMap((item) =>
    Object.values(item).map((operation) => operation.operationId));
  assert.equal(await page.locator('.call').count(), ids.length);
  for (const id of ids) {
    await page.locator(`#${id} > summary`).press('Enter');
    await page.waitForSelector(`#${id}[open] .curl code`);
    assert.match(await page.locator(`#${id} .curl code`).textContent(), /^curl .*http/);
    assert.ok((await page.locator(`#${id} tbody tr`).count()) > 0);
  }
  const broken = await page.evaluate(() => [...document.querySelectorAll('a[href^="#"]')]
    .map((link) => link.getAttribute('href').slice(1))
    .filter((name) => !document.getElementById(name)));
  assert.deepEqual(broken, []);
});

test('the search box leaves only what matches', { skip }, async (t) => {
  const page = await open(t);
  await page.fill('#search', 'admin/keys delete');
  await page.waitForFunction(() => /^1 of /.test(document.querySelector('#found').textContent));
  assert.equal(await page.locator('.call:visible').count(), 1);
  await page.fill('#search', 'nothing is called this');
  await page.waitForFunction(() => /^0 of /.test(document.querySelector('#found').textContent));
  await page.fill('#search', '');
  await page.waitForFunction(() => !/ of /.test(document.querySelector('#found').textContent));
});

test('an address opens its call, even one that the search hides', { skip }, async (t) => {
  const page = await open(t, '#get_query');
  await page.waitForSelector('#get_query[open]');
  await page.fill('#search', 'nothing is called this');
  await page.waitForSelector('#get_query', { state: 'hidden' });
  await page.evaluate(() => (location.hash = '#post_readings'));
  await page.waitForSelector('#post_readings[open]');
});

test('a curl line that the page shows works', { skip }, async (t) => {
  const page = await open(t, '#get_root_version');
  const line = await page.locator('#get_root_version .curl code').textContent();
  const [, url] = /^curl '(http[^']+)'$/.exec(line);
  assert.equal((await fetch(url)).status, 200);
});

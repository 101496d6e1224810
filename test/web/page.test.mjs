// The page in headless Chromium, against a real demonstration: a chart moves.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { Server } from '../talk/harness.mjs';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const skip = existsSync(executablePath) ? false : 'no Chromium here';
const limit = 30_000;
let server;
let browser;

before(async () => {
  if (skip) return;
  server = await Server.start({ command: 'demo', key: 'weir-demo-key' });
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

async function open(t, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1200, height: 900 },
    bypassCSP: true, // the waits below are strings that the page evaluates
    ...options,
  });
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error));
  page.on('console', (line) => line.type() === 'error' && errors.push(line.text()));
  t.after(async () => context.close());
  await page.goto(server.url);
  await page.waitForSelector('#state[data-state="live"]', { timeout: limit });
  await page.waitForSelector('.card .spark', { timeout: limit });
  return { page, errors };
}

/** Waits until the expression gives another value than it does now. */
async function changes(page, expression) {
  const first = await page.evaluate(expression);
  await page.waitForFunction(
    ([text, old]) => (0, eval)(text) !== old, [expression, first], { timeout: limit, polling: 100 });
}

test('the page loads, goes live, and a chart moves', { skip }, async (t) => {
  const { page, errors } = await open(t);
  assert.ok((await page.locator('.card').count()) > 1);
  await page.waitForFunction(() => {
    const { width, height } = document.querySelector('.spark');
    const pixels = document.querySelector('.spark').getContext('2d')
      .getImageData(0, 0, width, height).data;
    return pixels.some((byte) => byte !== 0);
  }, null, { timeout: limit });
  const picture = 'document.querySelector(".spark").toDataURL()';
  for (let i = 0; i < 3; i++) await changes(page, picture);
  await changes(page, 'document.querySelector("#time").textContent');
  await page.waitForFunction(
    () => parseFloat(document.querySelector('#rate').textContent) > 0, null, { timeout: limit });
  assert.deepEqual(errors, []);
});

test('a card opens a large chart of three ranges, which moves', { skip }, async (t) => {
  const { page, errors } = await open(t);
  await page.locator('.card').first().click();
  for (const range of ['1 h', '1 d', '7 d']) {
    await page.locator('.ranges button', { hasText: range }).click();
    await page.waitForSelector('#detail .u-over', { timeout: limit });
    await page.waitForFunction(
      () => /now .*least/.test(document.querySelector('.facts').textContent), null,
      { timeout: limit });
  }
  await page.locator('.ranges button', { hasText: '1 h' }).click();
  await page.waitForSelector('#detail canvas', { timeout: limit });
  await changes(page, 'document.querySelector("#detail canvas").toDataURL()');
  await page.keyboard.press('Escape');
  await page.waitForSelector('#detail', { state: 'hidden', timeout: limit });
  assert.deepEqual(errors, []);
});

test('the search box filters', { skip }, async (t) => {
  const { page } = await open(t);
  const id = await page.locator('.card .name').last().textContent();
  await page.fill('#search', id);
  await page.waitForFunction((name) => {
    const shown = [...document.querySelectorAll('.card')].filter((card) => !card.hidden);
    return shown.length >= 1 && shown.every((card) => card.textContent.includes(name));
  }, id, { timeout: limit });
  await page.fill('#search', 'nothing is called this');
  await page.waitForSelector('#empty:not([hidden])', { timeout: limit });
});

test('the page comes back after the server was away, without reload', { skip }, async (t) => {
  const { page } = await open(t);
  await page.evaluate(() => (window.sameDocument = true));
  await server.stop();
  await page.waitForSelector('#state[data-state="waiting"]', { timeout: limit });
  server.options = { ...server.options, listen: [server.url] };
  await server.again();
  await page.waitForSelector('#state[data-state="live"]', { timeout: 60_000 });
  await changes(page, 'document.querySelector(".spark").toDataURL()');
  assert.equal(await page.evaluate(() => window.sameDocument), true);
});

// Turns files into C sources at build time, so that the one binary needs no files beside it.
//
//   node embed.mjs web SOURCE_DIR OUT.c DEPFILE    the page: bundled by esbuild, with gzip forms
//   node embed.mjs climate OUT.c                   a year of hourly weather from vega-datasets
//
// What it needs from npm is looked up from this file upward, as node does.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';

const require = createRequire(import.meta.url);

function bytesInC(name, bytes) {
  const rows = [];
  for (let at = 0; at < bytes.length; at += 24)
    rows.push('\t' + Array.from(bytes.subarray(at, at + 24)).join(',') + ',');
  return `static const unsigned char ${name}[] = {\n${rows.join('\n')}\n};\n`;
}

async function bundle(dir) {
  let esbuild;
  try {
    esbuild = require('esbuild');
  } catch {
    throw new Error('esbuild is not installed: run ./dev build, or npm ci');
  }
  const results = await Promise.all([
    ['iife', [
      { in: 'src/main.ts', out: 'app' },
      { in: 'src/style.css', out: 'style' },
      { in: 'src/docs.ts', out: 'docs' },
      { in: 'src/docs.css', out: 'docs' },
    ]],
    ['esm', [{ in: 'client/client.ts', out: 'weir' }]],
  ].map(([format, entryPoints]) => esbuild.build({
    absWorkingDir: dir,
    entryPoints,
    outdir: 'out',
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format,
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
    logLevel: 'error',
  })));
  return {
    files: results.flatMap((result) => result.outputFiles.map(
      (file) => [basename(file.path), Buffer.from(file.contents)])),
    inputs: results.flatMap((result) => Object.keys(result.metafile.inputs)
      .map((path) => resolve(dir, path))),
  };
}

// What pages of other origins may load.
const shared = ['weir.js', 'weir.d.ts'];

const types = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  ts: 'text/plain; charset=utf-8',
};

async function web(dir, out, depfile) {
  const { files, inputs } = await bundle(dir);
  for (const file of ['index.html', 'docs.html', 'favicon.svg', 'client/weir.d.ts']) {
    files.push([basename(file), readFileSync(join(dir, file))]);
    inputs.push(resolve(dir, file));
  }
  const arrays = [];
  const rows = [];
  for (const [name, bytes] of files.sort()) {
    const id = name.replace(/\W/g, '_');
    const gzip = gzipSync(bytes, { level: 9 });
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
    const path = '/' + name.replace(/^index\.html$|\.html$/, '');
    arrays.push(bytesInC(id, bytes), bytesInC(id + '_gzip', gzip));
    rows.push(
      `\t{"${path}", "${types[name.split('.').pop()]}", "\\"${hash}\\"",\n` +
        `\t    ${id}, sizeof(${id}), ${id}_gzip, sizeof(${id}_gzip), ${shared.includes(name)}},`,
    );
  }
  writeFileSync(
    out,
    '/* Made by tools/embed.mjs from web/. */\n#include "web_assets.h"\n\n' +
      arrays.join('\n') +
      `\nconst struct web_asset web_assets[] = {\n${rows.join('\n')}\n};\n` +
      'const size_t web_assets_count = sizeof(web_assets) / sizeof(web_assets[0]);\n',
  );
  const escape = (path) => path.replace(/ /g, '\\ ');
  writeFileSync(depfile, `${escape(out)}: ${inputs.map(escape).join(' ')}\n`);
}

// The file has every hour of 2010 but the first; the year is taken as a circle, and that hour is
// the mean of its neighbours.
function climate(out) {
  const csv = require.resolve('vega-datasets/data/seattle-weather-hourly-normals.csv');
  const hours = new Array(8760);
  for (const row of readFileSync(csv, 'utf8').trim().split('\n').slice(1)) {
    const [date, pressure, temperature, wind] = row.split(',');
    const hour = (Date.parse(date + 'Z') - Date.UTC(2010, 0, 1)) / 3600e3;
    const values = [temperature, pressure, wind].map((text) => Math.round(Number(text) * 10));
    if (!Number.isInteger(hour) || hour in hours || values.some(Number.isNaN))
      throw new Error(`unexpected row: ${row}`);
    hours[hour] = values;
  }
  hours[0] ??= hours[8759].map((value, i) => Math.round((value + hours[1][i]) / 2));
  for (let hour = 0; hour < 8760; hour++)
    if (!hours[hour]) throw new Error(`no values for hour ${hour} of the year`);
  writeFileSync(
    out,
    '/* Made by tools/embed.mjs from seattle-weather-hourly-normals.csv. */\n' +
      '#include "climate.h"\n\n' +
      'const struct climate_hour climate_hours[CLIMATE_HOURS] = {\n' +
      hours.map((values) => `\t{${values.join(', ')}},\n`).join('') +
      '};\n',
  );
}

const [what, ...paths] = process.argv.slice(2);
try {
  if (what === 'web') await web(resolve(paths[0]), paths[1], paths[2]);
  else if (what === 'climate') climate(paths[0]);
  else throw new Error(`embed what? ${what}`);
} catch (error) {
  console.error(`embed: ${error.message}`);
  process.exit(1);
}

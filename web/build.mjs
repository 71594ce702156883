/**
 * Builds what the collector embeds: the tracker, its second file for consent managers, the demo page, the dashboard, the
 * user agent patterns, the patterns of crawlers, the list of storage keys.
 * `node build.mjs [OUT]` writes into OUT (default: dist beside this file) and fails when a script is over its budget.
 */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { load } from 'js-yaml';
import { minify } from 'terser';
import { build as bundlePage } from 'vite';

/** What a page pays for the tracker, compressed, web-vitals included. */
const TRACKER_GZIP_BYTES_MAX = 4096;
/** What a page with `data-consent` pays on top, whichever managers it names. */
const MANAGERS_GZIP_BYTES_MAX = 3072;
/** The first load of the dashboard, compressed: page, script and styles. */
const DASHBOARD_GZIP_BYTES_MAX = 100_000;

const web = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(web, 'dist'));

/** Puts src/vitals_slim.ts in the place of inner modules of web-vitals; fails if a new version no longer has them. */
const slimVitals = {
  name: 'slim-vitals',
  setup(bundler) {
    const replaced = new Set();
    bundler.onResolve({ filter: /\/(bfcache|initMetric|bindReporter|initUnique|whenActivated)\.js$/ }, ({ importer, path }) => {
      if (!importer.includes('web-vitals')) return undefined;
      replaced.add(path.split('/').pop());
      return { path: join(web, 'src/vitals_slim.ts') };
    });
    // Read as TypeScript, so that its class fields are assigned, which is shorter than defining them and needs no ES2022.
    bundler.onLoad({ filter: /web-vitals.*\.js$/ }, async ({ path }) => ({
      contents: await readFile(path, 'utf8'),
      loader: 'ts',
    }));
    bundler.onEnd(() => {
      if (replaced.size !== 5) return { errors: [{ text: 'web-vitals has changed inside: see src/vitals_slim.ts' }] };
      return {};
    });
  },
};

/** Returns the classic script that `source` becomes; names of properties that match `mangled` are shortened. */
const buildScript = async ({ name, source, plugins = [], mangled, preamble, gzipBytesMax }) => {
  const bundled = await build({
    entryPoints: [join(web, source)],
    absWorkingDir: web,
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2020',
    legalComments: 'none',
    logLevel: 'warning',
    plugins,
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
  });
  const { code } = await minify(bundled.outputFiles[0].text, {
    ecma: 2020,
    toplevel: true,
    compress: { passes: 3, unsafe_arrows: true, pure_getters: true },
    mangle: { toplevel: true, properties: mangled ? { regex: mangled } : false },
    format: { preamble },
  });
  const bytes = gzipSync(code, { level: 9 }).length;
  console.log(`${name}: ${code.length} bytes, ${bytes} gzip (budget ${gzipBytesMax})`);
  if (bytes > gzipBytesMax) throw new Error(`${name} is ${bytes - gzipBytesMax} bytes over`);
  await writeFile(join(out, name), code);
};

/** The dashboard as three files, so that the page's policy can do without anything inline. */
const buildDashboard = async () => {
  const { output } = await bundlePage({
    root: join(web, 'dashboard'),
    base: '/dashboard/',
    configFile: false,
    envFile: false,
    logLevel: 'warn',
    build: {
      write: false,
      target: 'es2022',
      minify: 'esbuild',
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rollupOptions: { output: { entryFileNames: 'dashboard.js', assetFileNames: 'dashboard[extname]' } },
    },
  });
  const parts = Object.fromEntries(output.map((part) => [part.fileName, part.code ?? part.source]));
  const files = {
    'dashboard.html': parts['index.html'],
    'dashboard.js': parts['dashboard.js'],
    'dashboard.css': parts['dashboard.css'],
  };
  const made = Object.keys(parts).sort().join();
  if (made !== 'dashboard.css,dashboard.js,index.html') throw new Error(`the dashboard became other files: ${made}`);
  let bytes = 0;
  for (const [name, text] of Object.entries(files)) {
    bytes += gzipSync(text, { level: 9 }).length;
    await writeFile(join(out, name), text);
  }
  console.log(`dashboard: ${bytes} gzip (budget ${DASHBOARD_GZIP_BYTES_MAX})`);
  if (bytes > DASHBOARD_GZIP_BYTES_MAX) throw new Error(`the dashboard is ${bytes - DASHBOARD_GZIP_BYTES_MAX} bytes over`);
};

/** The collector's build reads JSON, which serde has; YAML would be one more crate. */
const userAgentPatterns = async () => {
  const path = createRequire(import.meta.url).resolve('uap-core/regexes.yaml');
  return JSON.stringify(load(await readFile(path, 'utf8')));
};

/** The patterns alone: who runs a crawler, and examples of what it says, are of no use to the collector. */
const crawlerPatterns = async () => {
  // Read as a file: what the package exports differs by the kind of import.
  const path = join(web, 'node_modules/crawler-user-agents/crawler-user-agents.json');
  return JSON.stringify(JSON.parse(await readFile(path, 'utf8')).map(({ pattern }) => pattern));
};

/** From the source itself, so that the disclosure cannot differ from what the tracker does. */
const storageKeys = async () => {
  const bundled = await build({ entryPoints: [join(web, 'src/storage.ts')], write: false, format: 'esm' });
  const source = Buffer.from(bundled.outputFiles[0].contents).toString('base64');
  const { STORAGE_KEYS } = await import(`data:text/javascript;base64,${source}`);
  return JSON.stringify(STORAGE_KEYS, null, 2);
};

const main = async () => {
  await mkdir(out, { recursive: true });
  await buildScript({
    name: 'consentry.js',
    source: 'src/tracker.ts',
    plugins: [slimVitals],
    // Names inside web-vitals alone: nothing of the kind is in an event or in the DOM.
    mangled: /^(_.*|onHidden|firstHiddenTime|reportAllChanges)$/,
    preamble: '/* consentry-js 0.1.0, with web-vitals by Google LLC (Apache-2.0) */',
    gzipBytesMax: TRACKER_GZIP_BYTES_MAX,
  });
  await buildScript({
    name: 'consentry-managers.js',
    source: 'src/managers.ts',
    preamble: '/* consentry-js 0.1.0, consent managers */',
    gzipBytesMax: MANAGERS_GZIP_BYTES_MAX,
  });
  await buildDashboard();
  await writeFile(join(out, 'uap_regexes.json'), await userAgentPatterns());
  await writeFile(join(out, 'crawlers.json'), await crawlerPatterns());
  await writeFile(join(out, 'storage_keys.json'), await storageKeys());
  await copyFile(join(web, 'demo/index.html'), join(out, 'demo.html'));
  await copyFile(join(web, 'demo/demo.js'), join(out, 'demo.js'));
  await copyFile(join(web, 'demo/demo.css'), join(out, 'demo.css'));
};

try {
  await main();
} catch (error) {
  console.error(`web build: ${error.message}`);
  process.exitCode = 1;
}

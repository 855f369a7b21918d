// Runs the specs on every Node that is promised, and with the versions of other packages that package.json does not install.
//   node scripts/check-versions.js            all of them
//   node scripts/check-versions.js koa-router those whose name has this in it
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv[2] ?? '';

const NODES = ['20.19', '22', '24', '26'];

/** Specs that meet Koa and its routers, and those of the library that a package belongs to. */
const KOA = ['dist/spec/*.spec.js', 'dist/spec/{e2e,parity,routing-controllers}/**/*.spec.js'];
const PACKAGES = [
  ...['11', '12', '13', '14'].map(version => [`@koa/router@${version}`, KOA]),
  ...['12', '13', '14'].map(version => [`@koa/router@npm:koa-router@${version}`, KOA]),
  ['routing-controllers@0.10', KOA],
  ['kysely@0.29', ['dist/spec/data-filtering/kysely/*.spec.js']],
];

function run(command, args, cwd) {
  execFileSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'], env });
}

/** The documentation has a spec of its own, which the version of a package does not change. */
function mocha(files, cwd, node = ['node']) {
  const options = ['--no-config', '--enable-source-maps', '--reporter', 'dot', '--timeout', '60000'];
  const [command, ...args] = [...node, 'node_modules/mocha/bin/mocha.js', ...options];
  run(command, [...args, '--ignore', 'dist/spec/docs*.spec.js', ...files], cwd);
}

const env = { ...process.env };
// Few random cases.
delete env.npm_lifecycle_event;

const results = [];

function check(name, action) {
  if (!name.includes(wanted)) return;
  console.log(`--- ${name}`);
  try {
    action();
    results.push(`ok:     ${name}`);
  } catch {
    results.push(`FAILED: ${name}`);
  }
}

for (const version of NODES) {
  check(`Node ${version}`, () =>
    mocha([...KOA, 'dist/spec/polar/**/*.spec.js'], root, ['npx', '--yes', '-p', `node@${version}`, 'node']),
  );
}

const folder = mkdtempSync(join(tmpdir(), 'koa-oso-versions-'));
try {
  for (const [version, files] of PACKAGES) {
    check(version, () => {
      // A copy of its own for each, or else npm would keep what it put there for the one before.
      const copy = join(folder, version.replace(/\W+/g, '-'));
      cpSync(root, copy, { recursive: true, filter: path => relative(root, path).split(sep)[0] !== '.git' });
      run('npm', ['install', '--no-save', '--no-package-lock', '--force', '--loglevel=error', version], copy);
      mocha(files, copy);
      rmSync(copy, { recursive: true });
    });
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

console.log(results.join('\n'));
if (results.some(result => result.startsWith('FAILED'))) process.exitCode = 1;

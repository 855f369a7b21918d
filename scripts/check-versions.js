// Runs the specs on every Node that is promised, and with the versions of other packages that package.json does not install.
//   node scripts/check-versions.js            all of them
//   node scripts/check-versions.js koa-router those whose name has this in it
// What needs PostgreSQL is run on that of DATABASE_URL, and left out without it.
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
];

/** Specs of lists, by their ORM. All of them have transactions. */
const lists = (...orms) => [
  ...orms.map(orm => `dist/spec/data-filtering/${orm}/*.spec.js`),
  'dist/spec/data-filtering/transactions.spec.js',
];
const { DATABASE_URL } = process.env;
const POSTGRES = { DATABASE_URL };

/** ORMs and drivers: what is installed, and what is run with it. KOA_OSO_DRIVER is read by spec/support/databases.ts. */
const DATABASES = [
  [['typeorm@0.3.26'], { 'sql.js': [lists('typeorm'), {}] }],
  [['typeorm@0.3'], { 'sql.js': [lists('typeorm'), {}], pg: [lists('typeorm'), POSTGRES] }],
  [['drizzle-orm@0.44'], { 'sql.js': [lists('drizzle'), {}], pg: [lists('drizzle'), POSTGRES] }],
  [
    ['kysely@0.29', '@electric-sql/pglite'],
    {
      'sql.js': [lists('kysely'), {}],
      PGlite: [lists('kysely', 'drizzle'), { KOA_OSO_DRIVER: 'pglite' }],
    },
  ],
  // better-sqlite3 is compiled, if there is no binary to be had: that takes two minutes.
  [
    ['better-sqlite3@12', 'postgres@3', 'kysely-postgres-js@3'],
    {
      'better-sqlite3': [lists('typeorm', 'kysely', 'drizzle'), { KOA_OSO_DRIVER: 'better-sqlite3' }],
      'postgres.js': [lists('kysely', 'drizzle'), { ...POSTGRES, KOA_OSO_DRIVER: 'postgres' }],
    },
  ],
];

function run(command, args, cwd, more = {}) {
  execFileSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'], env: { ...env, ...more } });
}

/** The documentation has a spec of its own, which the version of a package does not change. */
function mocha(files, cwd, node = ['node'], more = {}) {
  const options = ['--no-config', '--enable-source-maps', '--reporter', 'dot', '--timeout', '60000'];
  const [command, ...args] = [...node, 'node_modules/mocha/bin/mocha.js', ...options];
  run(command, [...args, '--ignore', 'dist/spec/docs*.spec.js', ...files], cwd, more);
}

const env = { ...process.env };
// Few random cases.
delete env.npm_lifecycle_event;
delete env.DATABASE_URL;

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
      const copy = copyWith([version]);
      mocha(files, copy);
      rmSync(copy, { recursive: true });
    });
  }
  for (const [packages, runs] of DATABASES) {
    const named = Object.entries(runs).map(([driver, run]) => [`${packages[0]} by ${driver}`, ...run]);
    if (!named.some(([name]) => name.includes(wanted))) continue;
    let copy;
    for (const [name, files, more] of named) {
      if ('DATABASE_URL' in more && DATABASE_URL === undefined) {
        results.push(`skipped: ${name}, for there is no DATABASE_URL`);
        continue;
      }
      check(name, () => {
        copy ??= copyWith(packages);
        mocha(files, copy, ['node'], more);
      });
    }
    if (copy !== undefined) rmSync(copy, { recursive: true });
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** A copy of its own for each, or else npm would keep what it put there for the one before. */
function copyWith(packages) {
  const copy = join(folder, packages[0].replace(/\W+/g, '-'));
  cpSync(root, copy, { recursive: true, filter: path => relative(root, path).split(sep)[0] !== '.git' });
  run('npm', ['install', '--no-save', '--no-package-lock', '--force', '--loglevel=error', ...packages], copy);
  return copy;
}

console.log(results.join('\n'));
if (results.some(result => result.startsWith('FAILED'))) process.exitCode = 1;

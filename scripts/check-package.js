// Packs koa-oso as npm would publish it, lints the tarball, and uses it from an empty project as its users do.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { projectOf, sectionOf } from '../dist/spec/support/docs.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const INSTALL = ['--no-audit', '--no-fund', '--loglevel=error'];
const folder = mkdtempSync(join(tmpdir(), 'koa-oso-package-'));

function run(command, args, cwd) {
  console.log(`$ ${command} ${args.join(' ')}`);
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

function check(condition, message) {
  if (!condition) throw new Error(message);
  console.log(`ok: ${message}`);
}

/** A project in which the tarball is installed beside what is named, and nothing else. */
function project(name, packages, files) {
  const directory = join(folder, name);
  mkdirSync(directory);
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name, private: true, type: 'module' }));
  for (const [file, content] of Object.entries(files)) writeFileSync(join(directory, file), content);
  // `kysely@0.28` says its version itself.
  const wanted = packages.map(each =>
    each.indexOf('@', 1) > 0
      ? each
      : `${each}@${manifest.devDependencies[each] ?? manifest.peerDependencies[each]}`,
  );
  run('npm', ['install', ...INSTALL, tarball, ...wanted], directory);
  return directory;
}

const [packed] = JSON.parse(
  run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root),
);
const tarball = join(folder, packed.filename);

try {
  const paths = packed.files.map(({ path }) => path);
  const foreign = paths.filter(
    path =>
      !/^(dist\/src\/.+\.(js|d\.ts|js\.map)|package\.json|README\.md|CHANGELOG\.md|SECURITY\.md|docs\/.+\.md|LICENSE)$/.test(
        path,
      ),
  );
  check(foreign.length === 0, `the tarball holds nothing but the library ${foreign}`);

  console.log(run('npx', ['publint', '--strict', tarball], root));
  console.log(run('npx', ['attw', tarball, '--profile', 'esm-only'], root));

  const minimal = project('minimal', ['koa', 'oso'], {
    'esm.js': `
      import { KoaOso } from 'koa-oso';
      import Koa from 'koa';
      import { Oso } from 'oso';
      new KoaOso({ oso: new Oso(), app: new Koa() });
      console.log('esm');
    `,
    'cjs.cjs': `
      const { KoaOso } = require('koa-oso');
      const Koa = require('koa');
      const { Oso } = require('oso');
      new KoaOso({ oso: new Oso(), app: new Koa() });
      console.log('cjs');
    `,
  });
  check(run('node', ['esm.js'], minimal).trim() === 'esm', 'import works with koa and oso alone');
  check(run('node', ['cjs.cjs'], minimal).trim() === 'cjs', 'require works with koa and oso alone');

  const decorated = project(
    'decorated',
    ['koa', 'oso', 'routing-controllers', 'reflect-metadata', 'class-validator', 'class-transformer'],
    {
      'cjs.cjs': `
      const { Authorize } = require('koa-oso/routing-controllers');
      console.log(typeof Authorize);
    `,
    },
  );
  check(run('node', ['cjs.cjs'], decorated).trim() === 'function', 'the decorators can be required');

  const builders = {
    kysely: `
      import { entityEquality, registerEntities } from 'koa-oso/kysely';
      import { DummyDriver, Kysely, SqliteAdapter, SqliteQueryCompiler } from 'kysely';
      const db = new Kysely({
        dialect: {
          createAdapter: () => new SqliteAdapter(),
          createDriver: () => new DummyDriver(),
          createQueryCompiler: () => new SqliteQueryCompiler(),
          createIntrospector: () => { throw new Error('unused'); },
        },
      });
      class Note {}
      const entities = { Note: { class: Note, table: 'notes', fields: { id: 'integer' } } };
      const textOf = query => query.compile().sql;
    `,
    'drizzle-orm': `
      import { entityEquality, registerEntities } from 'koa-oso/drizzle';
      import { integer, pgTable } from 'drizzle-orm/pg-core';
      import { drizzle } from 'drizzle-orm/pg-proxy';
      const db = drizzle(async () => ({ rows: [] }));
      class Note {}
      const entities = { Note: { class: Note, table: pgTable('notes', { id: integer().primaryKey() }) } };
      const textOf = query => db.select().from(query).toSQL().sql;
    `,
  };
  for (const [builder, setUp] of Object.entries(builders)) {
    const filtered = project(builder, ['koa', 'oso', builder], {
      'esm.js': `
        import { Oso } from 'oso';
        ${setUp}
        const oso = new Oso({ equalityFn: entityEquality(entities) });
        registerEntities(oso, db, entities);
        await oso.loadStr('allow(_, "read", note: Note) if note.id = 1;');
        console.log(textOf(await oso.authorizedQuery('ann', 'read', Note)));
      `,
    });
    check(
      /"t0"\."id" = [?$]/.test(run('node', ['esm.js'], filtered)),
      `lists are filtered with koa, oso and ${builder} alone`,
    );
  }

  // Up to 0.28 Kysely has a build for `require` and another for `import`, which is the one that koa-oso gets.
  const commonKysely = `
    const { KoaOso } = require('koa-oso');
    const { Oso } = require('oso');
    const { registerEntities, entityEquality } = require('koa-oso/kysely');
    const kysely = require('kysely');
    class Note {}
    const entities = { Note: { class: Note, table: 'notes', fields: { id: { type: 'integer', nullable: false } } } };
    (async () => {
      for (const name of ['Postgres', 'Sqlite']) {
        const db = new kysely.Kysely({
          dialect: {
            createAdapter: () => new kysely[name + 'Adapter'](),
            createDriver: () => new kysely.DummyDriver(),
            createQueryCompiler: () => new kysely[name + 'QueryCompiler'](),
            createIntrospector: each => new kysely[name + 'Introspector'](each),
          },
          plugins: [new kysely.CamelCasePlugin()],
        });
        const oso = new Oso({ equalityFn: entityEquality(entities) });
        registerEntities(oso, db, entities);
        await oso.loadStr('allow(_, "read", note: Note) if note.id = 1;');
        const query = await oso.authorizedQuery('ann', 'read', Note);
        console.log(query.where('id', '>', 0).compile().sql, (await query.execute()).length);
        const anns = new KoaOso({ oso }).for('ann');
        const list = trx => anns.using(trx).authorizedResources(Note, { action: 'read' });
        console.log((await db.transaction().execute(list)).length);
      }
    })();
  `;
  for (const version of ['kysely@0.28', 'kysely@0.29']) {
    const common = project(version.replace('@', '-'), ['koa', 'oso', version], { 'cjs.cjs': commonKysely });
    const answer = run('node', ['cjs.cjs'], common);
    check(
      /"t0"\."id" = \$1\) as "notes" where "id" > \$2 0\n0\n[\s\S]*"t0"\."id" = \?\) as "notes" where "id" > \? 0\n0\n/.test(
        answer,
      ),
      `lists are filtered with ${version} from CommonJS`,
    );
  }

  const commonDrizzle = project('drizzle-cjs', ['koa', 'oso', 'drizzle-orm', 'pg'], {
    'cjs.cjs': `
      const { KoaOso } = require('koa-oso');
      const { Oso } = require('oso');
      const { registerEntities, entityEquality } = require('koa-oso/drizzle');
      const { integer, pgTable } = require('drizzle-orm/pg-core');
      const { drizzle } = require('drizzle-orm/node-postgres');
      // A connection that answers with nothing.
      const db = drizzle({ client: { query: async () => ({ rows: [] }) } });
      class Note {}
      const entities = { Note: { class: Note, table: pgTable('notes', { id: integer().primaryKey() }) } };
      (async () => {
        const oso = new Oso({ equalityFn: entityEquality(entities) });
        registerEntities(oso, db, entities);
        await oso.loadStr('allow(_, "read", note: Note) if note.id = 1;');
        const anns = new KoaOso({ oso }).for('ann');
        await db.transaction(async tx => {
          console.log(tx.select().from(await anns.using(tx).authorizedQuery(Note, { action: 'read' })).toSQL().sql);
        });
      })();
    `,
  });
  check(
    /"t0"\."id" = \$1/.test(run('node', ['cjs.cjs'], commonDrizzle)),
    'lists are filtered with drizzle-orm from CommonJS',
  );

  const typed = project(
    'typed',
    [
      'koa',
      'oso',
      '@koa/router',
      '@types/koa',
      '@types/node',
      'typescript',
      'routing-controllers',
      'reflect-metadata',
      'class-validator',
      'class-transformer',
    ],
    {
      'tsconfig.json': JSON.stringify({
        compilerOptions: {
          target: 'es2022',
          module: 'nodenext',
          strict: true,
          noEmit: true,
          skipLibCheck: false,
          experimentalDecorators: true,
          emitDecoratorMetadata: true,
          types: ['node'],
        },
        files: ['consumer.ts', 'consumer.cts'],
      }),
      'consumer.ts': `
        import Router from '@koa/router';
        import Koa from 'koa';
        import { KoaOso, KoaOsoError, type Denial } from 'koa-oso';
        import { Authorize, AuthorizedResource, CurrentActor } from 'koa-oso/routing-controllers';
        import { Oso } from 'oso';

        class User { constructor(readonly name: string) {} }
        class Expense { constructor(readonly id: string) {} }

        declare module 'koa-oso' {
          interface AuthorizationTypes { actor: User; action: 'read' | 'approve' }
        }

        const koaOso = new KoaOso({
          oso: new Oso<User>(),
          getActor: async ctx => ctx.state.user as User | undefined,
          unauthorizedAction: (ctx, denial: Denial) => ctx.throw(denial.status),
        });
        const app = new Koa().use(koaOso.middleware()).use(koaOso.requireAuthorization());
        const router = new Router();
        router.get('/:id', koaOso.authorize({ resource: ctx => new Expense(ctx.params.id), action: 'read' }), async ctx => {
          await ctx.oso.authorize(ctx.request);
          // @ts-expect-error a misspelt action
          await ctx.oso.authorize(ctx.request, { action: 'raed' });
          const actor: User | null = await ctx.oso.currentActor;
          ctx.body = [actor?.name, ctx.state.oso.decisions.length];
        });
        app.use(router.routes());

        export class ExpensesController {
          @Authorize({ resource: async ctx => new Expense(ctx.params.id), action: 'approve' })
          approve(@AuthorizedResource() expense: Expense, @CurrentActor() actor: User) {
            return [expense.id, actor.name];
          }

          // @ts-expect-error a misspelt action
          @Authorize({ action: 'aprove' })
          misspelt() {}
        }
        export const isOurs = (error: unknown) => error instanceof KoaOsoError && error.code === 'ERR_KOA_OSO_NO_OSO';
      `,
      'consumer.cts': `
        import koaOso = require('koa-oso');
        export const middleware = new koaOso.KoaOso().middleware();
      `,
    },
  );
  run('npx', ['tsc', '-p', '.'], typed);
  check(true, 'a consumer compiles in strict mode, without skipLibCheck');
  writeFileSync(
    join(typed, 'node10.ts'),
    `
      import { KoaOso } from 'koa-oso';
      import { CompiledOso } from 'koa-oso/polar';
      import { Authorize } from 'koa-oso/routing-controllers';
      export const all = [new KoaOso({ oso: new CompiledOso() }), Authorize];
    `,
  );
  const options = ['--target', 'es2022', '--module', 'commonjs', '--moduleResolution', 'node10'];
  run(
    'npx',
    ['--yes', '-p', 'typescript@5.9', 'tsc', '--noEmit', '--skipLibCheck', ...options, 'node10.ts'],
    typed,
  );
  check(true, 'the types are found with moduleResolution node10');

  const { files } = projectOf(sectionOf('docs/testing.md', 'Runners'));
  const spec = `
    const { CompiledOso } = require('koa-oso/polar');
    test('a policy', async () => {
      const oso = new CompiledOso();
      await oso.loadStr('allow("ann", "read", "the page");');
      expect(await oso.isAllowed('ann', 'read', 'the page')).toBe(true);
    });
  `;
  const jest = project('jest', ['koa', 'oso'], {
    'package.json': JSON.stringify({ private: true }),
    'jest.config.cjs': files['jest.config.cjs'],
    'policy.test.js': spec,
  });
  run('npm', ['install', ...INSTALL, 'jest', '@swc/jest', '@swc/core'], jest);
  run('npx', ['jest'], jest);
  check(true, 'Jest runs with the configuration of docs/testing.md');

  const vitest = project('vitest', ['koa', 'oso'], {
    'policy.test.js': spec
      .replace(/const (.*) = require\((.*)\)/, 'import $1 from $2')
      .replace('import', "import { expect, test } from 'vitest';\n    import"),
  });
  run('npm', ['install', ...INSTALL, 'vitest'], vitest);
  run('npx', ['vitest', 'run'], vitest);
  check(true, 'vitest runs without any configuration');

  await firstExample('plain-javascript', 'app.js', ['node', 'app.js']);
  await firstExample('tsc-init', 'app.ts', ['node', 'app.js'], directory => {
    run('npm', ['install', '--save-dev', ...INSTALL, 'typescript', '@types/koa', '@types/node'], directory);
    run('npx', ['tsc', '--init'], directory);
    run('npx', ['tsc'], directory);
  });
  for (const version of ['22', '24']) {
    const command = ['npx', '--yes', '-p', `node@${version}`, 'node', 'app.ts'];
    await firstExample(`node-${version}-runs-typescript`, 'app.ts', command);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** The first example of the README in an empty folder, with the commands that it tells the reader to type. */
async function firstExample(name, file, command, prepare = () => {}) {
  const { files, requests, others } = projectOf(sectionOf('README.md', 'A complete example'));
  const directory = join(folder, name);
  mkdirSync(directory);
  const set = projectOf(sectionOf('README.md', 'Install')).others;
  check(
    others.length === 1 && set.length === 3,
    'the README tells how to install and to start the first example',
  );
  for (const line of set) {
    const [npm, ...args] = line.split(' ');
    run(npm, args[0] === 'install' ? ['install', ...INSTALL, ...args.slice(1).map(here)] : args, directory);
  }
  writeFileSync(join(directory, file), files['app.ts']);
  writeFileSync(join(directory, 'policy.polar'), files['policy.polar']);
  prepare(directory);

  // The example names port 3000, which may be taken.
  const port = await freePort();
  writeFileSync(
    join(directory, 'other-port.mjs'),
    `import { Server } from 'node:net';
     const { listen } = Server.prototype;
     Server.prototype.listen = function () { return listen.call(this, ${port}); };`,
  );
  console.log(`$ ${command.join(' ')}`);
  const [program, ...args] = command;
  const server = spawn(program, args, {
    cwd: directory,
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '--import=./other-port.mjs' },
  });
  try {
    await listening(port);
    for (const { command, answer } of requests) {
      const line = command.replace('curl', 'curl -s').replace(':3000', `:${port}`);
      const given = execFileSync('sh', ['-c', line], { encoding: 'utf8' });
      if (given !== answer) throw new Error(`${command} gave ${given}`);
    }
    check(true, `the first example runs as it stands: ${name}`);
  } finally {
    process.kill(-server.pid);
  }
}

/** The package under test for the one of the registry. */
function here(wanted) {
  return wanted === 'koa-oso' ? tarball : wanted;
}

async function freePort() {
  const server = createServer().listen(0);
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise(resolve => server.close(resolve));
  return port;
}

async function listening(port) {
  for (let attempt = 0; attempt < 600; attempt++) {
    const up = await fetch(`http://localhost:${port}/`).then(
      () => true,
      () => false,
    );
    if (up) return;
    await sleep(100);
  }
  throw new Error('The first example does not listen');
}

// Runs every example of README.md and docs/: each TypeScript block is compiled against the package as it is published (types and
// all) and served; each line of shell is executed, and each table compared with what there is.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { expect } from 'chai';
import type Koa from 'koa';
import type { KoaOso } from 'koa-oso';
import { HttpRequest } from 'koa-oso';
import { arrayAdapter, registerEntities } from 'koa-oso/array';
import { CompiledOso } from 'koa-oso/polar';
import type { Oso } from 'oso';
import request from 'supertest';
import { blocks, codeOf, linesOf, PAGES, textOf } from './support/docs.js';

const ROOT = new URL('../../', import.meta.url);
const BUILD = new URL('dist/docs/', ROOT);
const [completeExample = ''] = codeOf('A complete example');

/** What the examples do not say themselves: who may approve and delete. */
const MORE_RULES = `
  allow(user: User, "approve", expense: Expense) if user.name = "bob" and expense.amount <= 500;
  allow(_: User, "delete", expense: Expense) if expense.amount < 10;
`;

interface Served {
  app: Koa;
  koaOso: KoaOso;
  oso: Oso | CompiledOso;
}

/** The complete example with the example of a section in it, as a module that serves on no port. */
function moduleOf(code: string, polar: string, more = '', example = completeExample): string {
  const [program = ''] = example.split('app.use(router.routes()).use(router.allowedMethods());');
  return `${program
    .replace('await oso.loadStr(`', `await oso.loadStr(\`${polar}\n${MORE_RULES}`)
    .replace('new Koa()', 'new Koa({ asyncLocalStorage: true })')}
${code}
${more}
app.use(router.routes()).use(router.allowedMethods());
export { app, koaOso, oso };
`;
}

/** The complete example on CompiledOso: with the line changed that its page changes, or as `line` has it. */
function onCompiledOso(line?: string): string {
  const [changed = ''] = codeOf('CompiledOso');
  const made = line === undefined ? changed : changed.replace(/^const oso = .*$/m, () => line);
  return completeExample.replace('const oso = new Oso();', () => made);
}

const RUN_WITHOUT_CTX = `
router.get('/current/:id', async ctx => {
  ctx.body = await readExpense(ctx.params.id);
});`;

const FAIL_TO_COMPILE = `
router.get('/misspelt', async ctx => {
  await ctx.oso.authorize('x', { action: 'read' });
  // @ts-expect-error a misspelt action
  await ctx.oso.authorize('x', { action: 'raed' });
});
new KoaOso<User, 'read' | 'approve'>();`;

const MODULES: Record<string, [section: string, index: number, more?: string]> = {
  approve: ['Deciding', 0],
  summary: ['Deciding', 1],
  actor: ['Who the actor is', 0],
  denial: ['Answering a denial', 0],
  'check-read': ['Answering a denial', 1],
  skip: ['Nothing forgotten', 0],
  route: ['On the route', 0],
  controllers: ['Controllers', 0],
  requests: ['Authorizing requests', 0],
  'allow-request': ['Authorizing requests', 1],
  fields: ['Fields and actions', 0],
  current: ['Without a ctx', 0, RUN_WITHOUT_CTX],
  state: ['What was decided', 0],
  types: ['Types', 0, FAIL_TO_COMPILE],
  errors: ['Errors', 0],
};

/** The examples that make the Oso of the complete example, or go on with one that is a CompiledOso. */
function compiledOsoModules(): Record<string, string> {
  const [, options = '', watched = ''] = codeOf('CompiledOso');
  return {
    compiled: moduleOf('', '', '', onCompiledOso()),
    'compiled-options': moduleOf('', '', '', onCompiledOso(options)),
    'compiled-watched': moduleOf(watched, '', '', onCompiledOso()),
  };
}

/** The examples of lists: that of TypeORM is whole, the others take from it what stands around what they show. */
function listPrograms(): Record<string, string> {
  const [typeorm = '', kysely = '', drizzle = '', array = ''] = LISTS;
  const [, policy = '', ofTeams = ''] = /await oso.loadStr\(`\n(.*?;)\n(.*?;)\n`\);/s.exec(typeorm) ?? [];
  const around = (imports: string, database: string, code: string, rules: string) => `
import Router from '@koa/router';
import Koa from 'koa';
import { KoaOso } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
${imports}
const router = new Router();
${database}
${code}
const koaOso = new KoaOso({ oso, getActor: ctx => ({ name: ctx.get('x-user') }) });
await oso.loadStr(\`${rules}\`);
const app = new Koa();
app.use(koaOso.middleware()).use(koaOso.requireAuthorization()).use(router.routes());
app.listen(Number(process.env.PORT));
`;
  const sqlite = `const connection = await openSqlJs();\nconnection.run(${JSON.stringify(TABLES)});`;
  return {
    typeorm,
    kysely: around(
      `import { Kysely, SqliteDialect } from 'kysely';
       import { forKysely, openSqlJs } from '../../spec/support/sql-js.js';`,
      `${sqlite}
       const db = new Kysely<Database>({ dialect: new SqliteDialect({ database: forKysely(connection) }) });`,
      kysely,
      policy + ofTeams,
    ),
    drizzle: around(
      `import { desc, gte } from 'drizzle-orm';
       import { drizzle } from 'drizzle-orm/sql-js';
       import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
       import { openSqlJs } from '../../spec/support/sql-js.js';`,
      `${sqlite}
       const db = drizzle(connection);`,
      drizzle,
      policy + ofTeams,
    ),
    array: around('', '', array, policy),
  };
}

const TABLES = `
  create table teams (id integer primary key, lead text);
  create table expenses (id integer primary key, owner text, amount integer, team_id integer);
  insert into teams values (1, 'bob');
  insert into expenses values (1, 'ann', 500, 1), (2, 'cid', 20, 1), (3, 'ann', 80, 1);`;

/** The example of each adapter. */
const LISTS = ['With TypeORM', 'With Kysely', 'With Drizzle', 'From arrays'].flatMap(section =>
  codeOf(section),
);

function compile(folder: string, sources: Record<string, string>): void {
  const directory = new URL(`${folder}/`, BUILD);
  mkdirSync(directory, { recursive: true });
  for (const [name, source] of Object.entries(sources))
    writeFileSync(new URL(`${name}.ts`, directory), source);
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    skipLibCheck: true,
    types: ['node'],
  };
  writeFileSync(new URL('tsconfig.json', directory), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  const tsc = fileURLToPath(new URL('bin/tsc', pathToPackage('typescript')));
  try {
    execFileSync(process.execPath, [tsc, '-p', fileURLToPath(directory)], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  } catch (error) {
    throw new Error(`The documentation does not compile:\n${(error as { stdout: string }).stdout}`);
  }
}

function pathToPackage(name: string): URL {
  return new URL('./', `file://${createRequire(import.meta.url).resolve(`${name}/package.json`)}`);
}

describe('the documentation', () => {
  before('compile the examples', function () {
    this.timeout(60_000);
    rmSync(BUILD, { recursive: true, force: true });
    const sources: Record<string, string> = { complete: completeExample, ...compiledOsoModules() };
    for (const [name, [section, index, more]] of Object.entries(MODULES)) {
      const code = codeOf(section)[index];
      if (code === undefined) throw new Error(`There is no example ${index} under "${section}"`);
      sources[name] = moduleOf(code, codeOf(section, 'polar').join(''), more);
    }
    // It changes the types of all that is compiled with it.
    const { types = '', ...others } = sources;
    compile('examples', others);
    compile('types', { types });
    compile('lists', listPrograms());
  });

  it('has a module here for every TypeScript example', () => {
    const run = Object.values(MODULES).map(([section, index]) => codeOf(section)[index]);
    const examples = blocks.filter(({ language }) => language === 'ts').map(({ code }) => code);
    const onCompiled = codeOf('CompiledOso');
    expect(onCompiled).to.have.length(3);
    expect([completeExample, ...onCompiled, ...LISTS, ...run]).to.have.members(examples);
  });

  async function serve(name: string) {
    const folder = name === 'types' ? 'types' : 'examples';
    const served: Served = await import(new URL(`${folder}/${name}.js`, BUILD).href);
    served.app.silent = true;
    const send = (path: string, user?: string, method: 'get' | 'post' | 'delete' = 'get') => {
      const sent = request(served.app.callback())[method](path);
      return user === undefined ? sent : sent.set('Authorization', `Bearer ${user}-token`);
    };
    return { ...served, send };
  }

  /** Runs lines of curl as a reader would, against a program of the build that is started on another port than theirs. */
  async function answersOf(program: string, lines: readonly string[]): Promise<string[]> {
    const port = await freePort();
    const server = spawn(process.execPath, [fileURLToPath(new URL(program, ROOT))], {
      env: { ...process.env, PORT: String(port) },
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    const folder = mkdtempSync(join(tmpdir(), 'koa-oso-docs-'));
    try {
      await listening(port);
      return lines.map(line => {
        const command = line.replace(/^curl (-s )?/, 'curl -s ').replace(':3000', `:${port}`);
        return execFileSync('sh', ['-c', command], { cwd: folder, encoding: 'utf8' });
      });
    } finally {
      server.kill();
      rmSync(folder, { recursive: true });
    }
  }

  it('A complete example: the lines of curl are answered as it says', async function () {
    this.timeout(30_000);
    const lines = linesOf('A complete example', 'sh').map(line => line.split(/\s+# /));
    expect(lines).to.have.length(3);
    const answers = await answersOf(
      'dist/docs/examples/complete.js',
      lines.map(([command = '']) => command),
    );
    expect(answers).to.deep.equal(lines.map(([, answer]) => answer));
  });

  it('The demo: the lines of curl are answered as it says', async function () {
    this.timeout(30_000);
    const lines = linesOf('The demo', 'sh').filter(line => line.startsWith('curl'));
    expect(lines).to.have.length(8);
    expect(await answersOf('dist/demo/main.js', lines)).to.deep.equal(linesOf('The demo', 'json'));
  });

  it('Deciding: authorize', async () => {
    const { send } = await serve('approve');
    await send('/expenses/1/approve', 'bob', 'post').expect(200, 'approved');
    await send('/expenses/1/approve', 'ann', 'post').expect(403, 'Forbidden');
    await send('/expenses/2/approve', 'bob', 'post').expect(404);
  });

  it('Deciding: isAllowed', async () => {
    const { send } = await serve('summary');
    await send('/expenses/1/summary', 'ann').expect(200, { mayApprove: false });
    await send('/expenses/1/summary', 'bob').expect(403);
  });

  it('Who the actor is', async () => {
    const { app, koaOso, send } = await serve('actor');
    app.use(async ctx => {
      await koaOso.current.authorize('page', { action: 'none' }).catch(() => {});
      ctx.throw(418, JSON.stringify(await ctx.oso.currentActor));
    });
    await send('/x').set('Cookie', 'token=ann-token').expect(418, '{"name":"ann"}');
    await send('/x', 'ann').expect(418, 'null');
  });

  it('Answering a denial: the unauthorized action', async () => {
    const { app, send } = await serve('denial');
    app.use(ctx => ctx.oso.authorize('page'));
    await send('/x').expect(401, 'Log in first');
    await send('/x', 'ann').expect(403, 'You may not do this');
  });

  it('Answering a denial: checkRead', async () => {
    const { send } = await serve('check-read');
    await send('/expenses/1', 'bob', 'delete').expect(404, 'Not Found');
    await send('/expenses/1', 'ann', 'delete').expect(403, 'Forbidden');
  });

  it('Nothing forgotten', async () => {
    const { app, send } = await serve('skip');
    app.use(ctx => {
      ctx.body = 'forgot';
    });
    await send('/health').expect(200, 'ok');
    await send('/forgot').expect(500, 'Internal Server Error');
  });

  it('On the route', async () => {
    const { send } = await serve('route');
    await send('/expenses/1/receipt', 'ann').expect(200, 'the receipt');
    await send('/expenses/1/receipt', 'bob').expect(403);
    await send('/expenses/2/receipt', 'ann').expect(404);
    await send('/about').expect(200, 'about us');
  });

  it('Controllers', async () => {
    const { send } = await serve('controllers');
    await send('/api/expenses/1', 'ann').expect(200, { id: '1', owner: 'ann', amount: 500 });
    const { body } = await send('/api/expenses/1', 'bob').expect(403);
    expect(body).to.include({ name: 'ForbiddenError', message: 'Forbidden' });
    await send('/api/expenses/1/approve', 'bob', 'post').expect(200, { id: '1', approvedBy: 'bob' });
    await send('/api/expenses/1/approve', 'ann', 'post').expect(403);
    await send('/api/expenses/policy/summary').expect(200, { rule: 'what is yours you may read' });
  });

  it('Authorizing requests: performRouteAuthorization', async () => {
    const { send } = await serve('requests');
    await send('/admin/7/reports', 'ann').expect(200, 'reports');
    await send('/admin/8/reports', 'ann').expect(403);
    await send('/admin/7/reports', 'bob').expect(403);
    await send('/admin/7/reports', 'ann', 'post').expect(405).expect('Allow', 'HEAD, GET');
  });

  it('Authorizing requests: authorizeRequest', async () => {
    const { app, send } = await serve('allow-request');
    app.use(ctx => {
      ctx.body = 'beta';
    });
    await send('/beta/x', 'ann').set('X-Beta', 'yes').expect(200, 'beta');
    await send('/beta/x', 'ann').expect(403);
    await send('/beta/x').set('X-Beta', 'yes').expect(403);
  });

  it('Authorizing requests: the table of Request', () => {
    const names = Object.getOwnPropertyNames(HttpRequest.prototype).filter(name => name !== 'constructor');
    const page = textOf('docs/requests.md');
    const table = page.slice(page.indexOf('| `Request`'));
    const rows = table.slice(0, table.indexOf('\n\n')).split('\n').slice(2);
    const documented = rows.flatMap(row =>
      [...(row.split('|')[1] ?? '').matchAll(/`(\w+)/g)].map(([, name]) => name),
    );
    expect(documented, 'the table in docs/requests.md').to.have.members(names);
  });

  it('Fields and actions', async () => {
    const { send } = await serve('fields');
    await send('/expenses/1/rights', 'ann').expect(200, { actions: ['read'], fields: ['amount', 'owner'] });
    await send('/expenses/1/rights', 'bob').expect(403);
  });

  for (const name of ['typeorm', 'kysely', 'drizzle']) {
    it(`Lists: with ${name} the lines of curl are answered as it says`, async function () {
      this.timeout(30_000);
      const lines = linesOf('With TypeORM', 'sh');
      expect(lines).to.have.length(4);
      expect(await answersOf(`dist/docs/lists/${name}.js`, lines)).to.deep.equal(
        lines.map(line => line.split(/\s+# /)[1]),
      );
    });
  }

  it('Lists: from arrays', async function () {
    this.timeout(30_000);
    const lines = ['ann', 'dan'].map(user => `curl -H 'x-user: ${user}' localhost:3000/expenses`);
    expect(await answersOf('dist/docs/lists/array.js', lines)).to.deep.equal([
      '{"total":2,"ids":[3,1]}',
      '{"total":0,"ids":[]}',
    ]);
  });

  it('Lists: the error of a policy that is no query', async () => {
    class Expense {}
    const description = {
      Expense: { class: Expense, fields: { id: 'integer', amount: 'integer' } },
    } as const;
    const oso = new CompiledOso();
    registerEntities(oso, description);
    oso.setDataFilteringAdapter(arrayAdapter(description, { Expense: [] }));
    const policy =
      'allow(_, "read", expense: Expense) if\n  expense.amount < 100 and 100 < expense.amount * 2;';
    await oso.loadStr(policy, 'expenses.polar');
    const { message } = await oso.authorizedQuery(null, 'read', Expense).then(
      () => new Error('It was filtered'),
      (error: Error) => error,
    );
    expect(linesOf('Lists', 'txt').join(' ')).to.equal(message);
  });

  it('Without a ctx', async () => {
    const { send } = await serve('current');
    await send('/current/1', 'ann').expect(200, { id: '1', owner: 'ann', amount: 500 });
    await send('/current/1', 'bob').expect(403);
  });

  it('What was decided', async () => {
    const { send } = await serve('state');
    const { headers } = await send('/expenses/1', 'ann').expect(200);
    expect(headers['server-timing']).to.match(/^oso;dur=\d+\.\d\d$/);
  });

  it('Types', async () => {
    const { send } = await serve('types');
    await send('/expenses/1', 'ann').expect(200);
  });

  it('CompiledOso: in place of Oso', async () => {
    const { oso, send } = await serve('compiled');
    await send('/expenses/1', 'ann').expect(200, { id: '1', owner: 'ann', amount: 500 });
    await send('/expenses/1', 'bob').expect(403, 'Forbidden');
    await send('/expenses/1').expect(403, 'Forbidden');
    expect(oso).to.be.instanceOf(CompiledOso).with.property('fallbacks').that.deep.equals([]);
  });

  it('CompiledOso: the options', async () => {
    const { app, oso, send } = await serve('compiled-options');
    const errors: Error[] = [];
    app.on('error', error => errors.push(error));
    oso.clearRules();
    await oso.loadStr(`
      allow(user: User, "read", _) if user.name = "ann" and 1 in list and list = [1];
      allow(user: User, "read", expense) if user.name = "bob" and allow(user, "read", expense);
    `);
    const printed = await whileKeeping('warn', () => send('/expenses/1', 'ann').expect(200));
    const [[construct, ...place] = []] = printed;
    expect(construct).to.match(/^"in" .*variable without a value: left to Oso$/);
    expect(place).to.deep.equal(['allow', 2]);
    expect(printed).to.have.length(1);
    await send('/expenses/1', 'bob').expect(500);
    const [error] = errors as [Error & { cause: Error }];
    expect(error).to.have.property('code', 'ERR_KOA_OSO_POLICY_FAILED');
    expect(error.cause).to.include({ code: 'ERR_KOA_OSO_POLICY_BUDGET', limit: 100_000 });
    expect(error.message).to.contain('exceeded its budget of 100000 steps');
  });

  it('CompiledOso: an evaluation watched', async () => {
    const printed = await whileKeeping('log', async () => {
      const { send } = await serve('compiled-watched');
      // No longer watched.
      await send('/expenses/1', 'ann').expect(200);
    });
    const [first, ...others] = printed;
    expect(first?.slice(0, 2)).to.deep.equal(['rule', 'allow']);
    expect(first?.[2]).to.be.a('number');
    expect(others.pop()).to.deep.equal(['result', undefined, undefined]);
    expect(new Set(others.map(([kind]) => kind))).to.deep.equal(new Set(['condition', 'held']));
  });

  it('CompiledOso: the table has every code, and no other', () => {
    const rows = [...textOf('docs/compiled-oso.md').matchAll(/^\| `(ERR_\w+)`/gm)].map(([, code]) => code);
    expect(rows, 'the table in docs/compiled-oso.md').to.have.members([
      ...codesOf('src/polar/errors.ts', 'PolarErrorCode'),
    ]);
  });

  it('Errors: the cause is printed in development only', async () => {
    const { app, koaOso, send } = await serve('errors');
    koaOso.setGetActor(() => {
      throw new Error('no connection');
    });
    const printed = await whileKeeping('error', async () => {
      for (const env of ['production', 'development']) {
        app.env = env;
        await send('/expenses/1').expect(500);
      }
    });
    const texts = printed.map(([error]) => inspect(error));
    expect(texts.map(text => /no connection|ERR_\w+/.exec(text)?.[0])).to.deep.equal([
      'ERR_KOA_OSO_GET_ACTOR_FAILED',
      'ERR_KOA_OSO_GET_ACTOR_FAILED',
      'no connection',
    ]);
  });

  it('Errors: the table has every code, and no other', () => {
    const documented = [...codesIn(textOf('docs/errors.md'))];
    expect(documented, 'the table in docs/errors.md').to.have.members([
      ...codesOf('src/errors.ts', 'ErrorCode'),
    ]);
  });

  it('has links that lead somewhere', () => {
    const dead = PAGES.flatMap(page =>
      [
        ...textOf(page)
          .replace(/^```.*?^```$/gms, '')
          .matchAll(/\]\(([^)\s]+)\)/g),
      ]
        .map(([, link = '']) => link)
        .filter(link => !/^https?:/.test(link) && !leadsSomewhere(page, link))
        .map(link => `${page}: ${link}`),
    );
    expect(dead).to.deep.equal([]);
  });
});

/** Whether a file is there, and the heading in it. */
function leadsSomewhere(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? new URL(page, ROOT) : new URL(path, new URL(page, ROOT));
  if (!existsSync(target)) return false;
  return anchor === undefined || anchorsOf(readFileSync(target, 'utf8')).includes(anchor);
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );
}

function codesIn(text: string): Set<string> {
  return new Set(text.match(/ERR_KOA_OSO_[A-Z_]+/g));
}

/** The codes that a type of a source names. */
function codesOf(file: string, type: string): Set<string> {
  const source = readFileSync(new URL(file, ROOT), 'utf8');
  return codesIn(new RegExp(`export type ${type} =[^;]+;`).exec(source)?.[0] ?? '');
}

/** What is printed by a method of the console while something is done. */
async function whileKeeping(method: 'error' | 'log' | 'warn', action: () => unknown): Promise<unknown[][]> {
  const { [method]: original } = console;
  const printed: unknown[][] = [];
  console[method] = (...args: unknown[]) => printed.push(args);
  try {
    await action();
    return printed;
  } finally {
    console[method] = original;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => server.close(resolve));
  return port;
}

async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    const up = await fetch(`http://localhost:${port}/`).then(
      () => true,
      () => false,
    );
    if (up) return;
    await sleep(50);
  }
  throw new Error('The example does not listen');
}

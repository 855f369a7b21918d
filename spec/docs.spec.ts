// Runs every example of README.md and docs/: the blocks of a section are compiled against the package as it is published,
// types and all, and run with CompiledOso and with Oso; each line of curl is executed, and each table compared with what there is.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { format, inspect, promisify } from 'node:util';
import { expect } from 'chai';
import { HttpRequest } from 'koa-oso';
import { getMetadataArgsStorage } from 'routing-controllers';
import { PAGES, type Project, projectOf, sectionOf, sections, textOf } from './support/docs.js';

const ROOT = new URL('../../', import.meta.url);
const BUILD = new URL('dist/docs/', ROOT);
const PATIENCE = 60_000;

/** The lines of the demo are for the demo. */
const projects = sections
  .filter(({ page }) => page !== 'docs/demo.md')
  .map(projectOf)
  .filter(project => project !== undefined);
/** They change the types of all that is compiled with them. */
const changesTypes = (project: Project): boolean =>
  /declare module/.test(Object.values(project.files).join());
/** What connects to a database is shown, and compiled; what runs in its place is here. */
const REPLACED = new URL('./support/docs/', import.meta.url);

const compilerOptions = {
  target: 'es2023',
  module: 'nodenext',
  strict: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  skipLibCheck: true,
  types: ['node', 'mocha'],
};

/** What the results of examples are told to. */
const GLOBALS =
  'declare global { var docs: { says(expected: string, ...values: unknown[]): void } } export {};';

function write(project: Project): void {
  const folder = new URL(`${project.name}/`, BUILD);
  for (const [name, text] of Object.entries(project.files)) {
    const file = new URL(name, folder);
    mkdirSync(dirname(fileURLToPath(file)), { recursive: true });
    const replacing = `${project.name.split('/')[0]}-${name.replace('.ts', '.js')}`;
    if (existsSync(new URL(replacing, REPLACED))) {
      writeFileSync(new URL(`shown-${name}`, folder), text);
      writeFileSync(file, `export * from '../../../spec/support/docs/${replacing}';\n`);
    } else writeFileSync(file, text);
  }
}

function compile(name: string, include: readonly string[]): void {
  const config = new URL(`tsconfig.${name.replaceAll('/', '-')}.json`, BUILD);
  writeFileSync(config, JSON.stringify({ compilerOptions, include: ['globals.ts', ...include] }));
  const tsc = createRequire(import.meta.url)
    .resolve('typescript/package.json')
    .replace('package.json', 'bin/tsc');
  try {
    execFileSync(process.execPath, [tsc, '-p', fileURLToPath(config)], { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    throw new Error(`The documentation does not compile:\n${(error as { stdout: string }).stdout}`);
  }
}

/** What a program has answered, printed and said. */
interface Run {
  answers: string[];
  printed: string;
  said: [expected: string, actual: string][];
}

/** Runs a compiled program as if it were started in its folder, on another port than the one that it names. */
async function run({ name, requests }: Project, program: string): Promise<Run> {
  const folder = fileURLToPath(new URL(`${name}/`, BUILD));
  const servers: Server[] = [];
  const said: Run['said'] = [];
  const { listen } = Server.prototype;
  Server.prototype.listen = function (this: Server) {
    servers.push(this);
    return listen.call(this, 0);
  } as typeof listen;
  const printed: string[] = [];
  const { log, warn, error } = console;
  const print = (...args: unknown[]): void => void printed.push(format(...args));
  const cwd = process.cwd();
  // routing-controllers keeps controllers and middleware for all apps of the process: other specs are not to meet those of the examples.
  const declared = getMetadataArgsStorage() as unknown as Record<string, unknown[]>;
  const ofOthers = { ...declared };
  for (const each of Object.keys(declared)) declared[each] = [];
  Object.assign(globalThis, {
    docs: {
      says(expected: string, ...values: unknown[]): void {
        const [first] = values;
        const value = values.length > 1 ? format(...values) : first;
        said.push([expected, typeof value === 'string' && !/^['"]/.test(expected) ? value : inspect(value)]);
      },
    },
  });
  try {
    Object.assign(console, { log: print, warn: print, error: print });
    process.chdir(folder);
    await import(new URL(`${name}/${program}`, BUILD).href);
    Server.prototype.listen = listen;
    const [server] = servers;
    if (requests.length > 0 && server === undefined) throw new Error(`${name} does not listen`);
    if (server !== undefined && !server.listening)
      await new Promise(resolve => server.once('listening', resolve));
    const port = server === undefined ? 0 : (server.address() as AddressInfo).port;
    const answers: string[] = [];
    for (const { command } of requests) answers.push(await curl(command, port, folder));
    return { answers, printed: printed.join('\n'), said };
  } finally {
    Object.assign(console, { log, warn, error });
    Server.prototype.listen = listen;
    process.chdir(cwd);
    Object.assign(declared, ofOthers);
    for (const server of servers) {
      server.close();
      (server as Server & { closeAllConnections?(): void }).closeAllConnections?.();
    }
  }
}

async function curl(command: string, port: number, cwd: string): Promise<string> {
  const line = command.replace(/^curl (-s )?/, 'curl -s --max-time 20 ').replaceAll(':3000', `:${port}`);
  const { stdout } = await promisify(execFile)('sh', ['-c', line], { cwd, encoding: 'utf8' });
  return stdout.replaceAll('\r', '').trim();
}

/** Oso takes in its constructor what CompiledOso is given by registerEntities. */
function withEquality(program: string): string {
  const [, from] = /import \{[^}]*\bregisterEntities\b[^}]*\} from '(.*?)';/.exec(program) ?? [];
  const [, described] = /^\s*registerEntities\(oso,.*?(\w+)\);/m.exec(program) ?? [];
  if (from === undefined || described === undefined) return program;
  const equality = `import { entityEquality } from '${from}';\n`;
  return (
    equality +
    program.replace('new CompiledOso()', `new CompiledOso({ equalityFn: entityEquality(${described}) })`)
  );
}

describe('the documentation', function () {
  this.timeout(PATIENCE);

  before('compile the examples', () => {
    rmSync(BUILD, { recursive: true, force: true });
    mkdirSync(BUILD, { recursive: true });
    writeFileSync(new URL('globals.ts', BUILD), GLOBALS);
    projects.forEach(write);
    compile(
      'all',
      projects.filter(project => !changesTypes(project)).map(({ name }) => `${name}/**/*.ts`),
    );
    for (const each of projects.filter(changesTypes)) compile(each.name, [`${each.name}/**/*.ts`]);
  });

  const blocks = sections.flatMap(section => section.blocks).length;

  it(`has ${blocks} blocks on ${PAGES.length} pages, none of which is left out`, () => {
    const leftOut = sections.filter(section => section.blocks.length > 0 && projectOf(section) === undefined);
    expect(leftOut.map(({ page, title }) => `${page}: ${title}`)).to.deep.equal([]);
  });

  it('has a command that is run elsewhere for every line that is not run here', () => {
    const others = projects.flatMap(({ others }) => others);
    expect(others.filter(line => !/^(npm|npx|node|mkdir|cd|export|[A-Z_]+=)/.test(line))).to.deep.equal([]);
  });

  for (const project of projects) {
    const { name, files, tests } = project;
    const program = files['app.ts'] === undefined ? 'main.js' : 'app.js';

    for (const engine of ['as it stands', 'on Oso']) {
      it(`${name}, ${engine}`, async function () {
        const compiled = new URL(`${name}/${program}`, BUILD);
        if (!existsSync(compiled)) return this.skip();
        let ran = program;
        if (engine === 'on Oso') {
          const text = readFileSync(compiled, 'utf8');
          const other = withEquality(text)
            .replace("import { CompiledOso } from 'koa-oso/polar';", "import { Oso } from 'oso';")
            .replace('new CompiledOso(', 'new Oso(');
          // What is only for CompiledOso, as its options, or made of several instances, is not for Oso.
          if (
            other === text ||
            /CompiledOso|oso\.(?:batch|fallbacks|observe)|\.explain(?:With)?\(|explain: true/.test(other)
          )
            return;
          ran = `on-oso-${program}`;
          writeFileSync(new URL(`${name}/${ran}`, BUILD), other);
        }
        const { answers, printed, said } = await run(project, ran);
        expect(said.map(([, actual]) => actual)).to.deep.equal(said.map(([expected]) => expected));
        expect(said.length, 'results').to.be.at.least(project.results);
        expect(answers).to.deep.equal(project.requests.map(({ answer }) => answer ?? ''));
        const oneLine = (text: string): string => text.replace(/\s+/g, ' ');
        for (const output of project.outputs) {
          expect(oneLine([printed, ...answers].join('\n'))).to.include(oneLine(output));
        }
      });
    }

    for (const test of tests) {
      it(`${name}: ${test} passes`, () => {
        const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
        execFileSync(process.execPath, [mocha, '--no-config', test.replace(/\.ts$/, '.js')], {
          cwd: fileURLToPath(new URL(`${name}/`, BUILD)),
          stdio: 'pipe',
        });
      });
    }
  }

  it('The demo: the lines of curl are answered as it says', async () => {
    const port = await freePort();
    const server = spawn(process.execPath, [fileURLToPath(new URL('dist/demo/main.js', ROOT))], {
      env: { ...process.env, PORT: String(port) },
      stdio: 'ignore',
    });
    const folder = mkdtempSync(join(tmpdir(), 'koa-oso-docs-'));
    try {
      await listening(port);
      for (const { title } of sections.filter(({ page }) => page === 'docs/demo.md')) {
        const requests = demoRequests(title);
        for (const { command, answer } of requests) {
          expect(await curl(command, port, folder), command).to.equal(answer);
        }
      }
    } finally {
      server.kill();
      rmSync(folder, { recursive: true });
    }
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

  it('has every page in docs/README.md, and none longer than 300 lines', () => {
    const contents = textOf('docs/README.md');
    const pages = PAGES.filter(page => page.startsWith('docs/') && page !== 'docs/README.md');
    expect(pages.filter(page => !contents.includes(`(${page.replace('docs/', '')})`))).to.deep.equal([]);
    const lines = (page: string): number => textOf(page).split('\n').length;
    expect(pages.filter(page => lines(page) > 300).map(page => `${page}: ${lines(page)}`)).to.deep.equal([]);
    expect(lines('README.md')).to.be.below(250);
  });

  it('docs/requests.md: the table has every property of Request', () => {
    const names = Object.getOwnPropertyNames(HttpRequest.prototype).filter(name => name !== 'constructor');
    const page = textOf('docs/requests.md');
    const table = page.slice(page.indexOf('| `Request`'));
    const rows = table.slice(0, table.indexOf('\n\n')).split('\n').slice(2);
    const documented = rows.flatMap(row =>
      [...(row.split('|')[1] ?? '').matchAll(/`(\w+)/g)].map(([, name]) => name),
    );
    expect(documented, 'the table in docs/requests.md').to.have.members(names);
  });

  it('docs/errors.md: the tables have every code, and no other', () => {
    const inTable = [...textOf('docs/errors.md').matchAll(/^\| `(ERR_\w+)`/gm)].map(([, code]) => code);
    expect([...new Set(inTable)], 'the tables in docs/errors.md').to.have.members([
      ...new Set([
        ...codesOf('src/errors.ts', 'ErrorCode'),
        ...codesOf('src/polar/errors.ts', 'PolarErrorCode'),
      ]),
    ]);
  });
});

/** Lines of curl, in the order in which their answers are told by the block of JSON behind them. */
function demoRequests(title: string): Project['requests'] {
  return projectOf(sectionOf('docs/demo.md', title))?.requests ?? [];
}

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

/** The codes that a type of a source names. */
function codesOf(file: string, type: string): Set<string> {
  const source = readFileSync(new URL(file, ROOT), 'utf8');
  return new Set(new RegExp(`export type ${type} =[^;]+;`).exec(source)?.[0].match(/ERR_KOA_OSO_[A-Z_]+/g));
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
  throw new Error('The demo does not listen');
}

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { posix } from 'node:path';
import { expect } from 'chai';

const SRC = new URL('../../src/', import.meta.url);

/**
 * The rooms of src/, and what each may import of the others. A module in none of the folders is of the core, but for
 * those of polar/ and data-filtering/ themselves.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: ['guard', 'engine'],
  'routing-controllers': ['core', 'guard'],
  guard: [],
  engine: ['guard'],
  'polar/syntax': [],
  'polar/values': ['polar/syntax', 'polar/errors', 'engine/oso-internals', 'guard'],
  'polar/evaluate': [
    'polar/values',
    'polar/errors',
    'engine/oso-internals',
    'guard',
    'type polar/syntax',
    'type polar/observe',
  ],
  'polar/compile': ['polar/evaluate', 'polar/values', 'polar/syntax', 'polar/errors', 'guard'],
  'polar/explain': [
    'polar/query',
    'polar/errors',
    'type polar/observe',
    'polar/evaluate',
    'polar/values',
    'type polar/syntax',
    'type polar/compile',
  ],
  polar: [
    'polar/explain',
    'polar/syntax',
    'polar/values',
    'polar/evaluate',
    'polar/compile',
    'guard',
    'engine',
  ],
  'data-filtering/condition': [
    'data-filtering/schema',
    'data-filtering/unfilterable',
    'data-filtering/errors',
    'engine/oso-internals',
  ],
  'data-filtering/policy': [
    'data-filtering/condition',
    'data-filtering/schema',
    'data-filtering/unfilterable',
    'polar/values',
    'polar/errors',
    'type polar/evaluate',
  ],
  'data-filtering': [
    'core/errors',
    'core/options',
    'type core/policy-engine',
    'polar/syntax',
    'engine/oso-internals',
    'guard',
    'data-filtering/policy',
    'data-filtering/condition',
    'polar',
    'polar/values',
  ],
  'data-filtering/typeorm': ['data-filtering', 'data-filtering/condition', 'guard'],
  'data-filtering/kysely': ['data-filtering', 'data-filtering/condition', 'guard'],
  'data-filtering/drizzle': ['data-filtering', 'data-filtering/condition', 'core/options', 'guard'],
  'data-filtering/array': ['data-filtering', 'data-filtering/condition', 'guard', 'polar/values'],
};

/** A binding wakes conditions, and a condition that wakes up may bind: the one circle that there is. */
const CIRCLE = ['polar/evaluate/match', 'polar/evaluate/unify', 'polar/evaluate/waiting'];

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const modules = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map(file => file.replaceAll('\\', '/'))
  .filter(file => file.endsWith('.ts'))
  .map(file => file.replace(/\.ts$/, ''));

const imports = modules.flatMap(from => importsOf(from, readFileSync(new URL(`${from}.ts`, SRC), 'utf8')));

function importsOf(from: string, text: string): Import[] {
  const statements = text.matchAll(/^(?:import|export)\s(?<what>[^;]*?\sfrom\s+)?'(?<path>\.[^']+)\.js'/gm);
  return [...statements].map(({ groups = {} }) => ({
    from,
    to: posix.join(posix.dirname(from), groups.path as string),
    typeOnly: /^type\s/.test(groups.what ?? ''),
  }));
}

function roomOf(module: string): string {
  const folder = posix.dirname(module);
  return folder === '.' ? 'core' : folder;
}

function isAllowed({ from, to, typeOnly }: Import): boolean {
  const room = roomOf(from);
  const allowed = MAY_IMPORT[room];
  if (allowed === undefined) return false;
  const file = posix.dirname(to) === '.' ? `core/${to}` : to;
  const names = [roomOf(to), file];
  return names.some(
    name => name === room || allowed.includes(name) || (typeOnly && allowed.includes(`type ${name}`)),
  );
}

/** Every module that can be reached from itself. */
function circular(): string[] {
  const targets = new Map<string, string[]>();
  for (const { from, to } of imports) targets.set(from, [...(targets.get(from) ?? []), to]);
  const isReachable = (start: string): boolean => {
    const open = [start];
    const seen = new Set<string>();
    for (let module = open.pop(); module !== undefined; module = open.pop()) {
      for (const to of targets.get(module) ?? []) {
        if (to === start) return true;
        if (!seen.has(to)) open.push(to);
        seen.add(to);
      }
    }
    return false;
  };
  return modules.filter(isReachable).sort();
}

describe('The modules of src/', () => {
  it('import only what the rule of their folder allows', () => {
    expect(imports).to.have.length.above(150);
    const forbidden = imports.filter(each => !isAllowed(each)).map(({ from, to }) => `${from} imports ${to}`);
    expect(forbidden).to.deep.equal([]);
  });

  it('import each other in no circle but one', () => {
    expect(circular()).to.deep.equal(CIRCLE);
  });

  it('reach into the insides of oso in one module alone', () => {
    const reaching = modules.filter(module =>
      /'oso\/(?!package\.json)/.test(readFileSync(new URL(`${module}.ts`, SRC), 'utf8')),
    );
    expect(reaching).to.deep.equal(['engine/oso-internals']);
  });

  it('find in oso all that this module hands on', async () => {
    const internals = await import('../src/engine/oso-internals.js');
    const missing = Object.entries(internals).filter(([, value]) => value === undefined);
    expect(missing).to.deep.equal([]);
    expect(Object.keys(internals)).to.have.length.above(5);
    expect(createRequire(import.meta.url).resolve(internals.WASM_FILE)).to.be.a('string');
  });
});

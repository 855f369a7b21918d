// What a client can do that sends as much as it can: the longest time for which the event loop stands still, and the memory
// that is taken, for each flood and twice as much of it. A process each, so that none inherits the memory of another.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { registerEntities } from 'koa-oso/array';
import { CompiledOso } from 'koa-oso/polar';
import { median, table } from './report.js';

const ITEMS = Number(process.env.ITEMS ?? 20_000);
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const MOST_MILLISECONDS = 20;

/** What is asked, for so many items; hands back what is to be shown of the answer. */
type Flood = (items: number) => Promise<() => Promise<unknown>>;

class Post {
  constructor(
    readonly id: number,
    readonly name: string,
    readonly ownerId: number,
  ) {}
}
class User {
  constructor(
    readonly id: number,
    readonly names: readonly string[],
    readonly friends: readonly User[],
  ) {}
}

const DESCRIPTION = {
  Post: {
    class: Post,
    fields: { id: 'integer', name: 'text', ownerId: 'integer' },
    relations: { owner: { one: 'User', on: { ownerId: 'id' }, foreignKey: true } },
  },
  User: { class: User, fields: { id: 'integer' }, relations: {} },
} as const;

const tags = (items: number) => Array.from({ length: items }, (_, at) => (at % 2 === 0 ? 'a' : 'b'));
const names = (items: number) => Array.from({ length: items }, (_, at) => `name ${at}`);

function decision(policy: string, argsOf: (items: number) => readonly unknown[]): Flood {
  return async items => {
    const oso = new CompiledOso();
    await oso.loadStr(`allow(_, _, _) if false; ${policy}`);
    const args = argsOf(items);
    return () => oso.queryRuleOnce('ask', ...args);
  };
}

function list(condition: string): Flood {
  return async items => {
    const oso = new CompiledOso();
    registerEntities(oso, { Post: [new Post(1, 'name 1', 1)], User: [] }, DESCRIPTION);
    await oso.loadStr(
      `allow(u, "read", d: Post) if ${condition}; all([], _); all([x, *xs], d) if d.name != x and all(xs, d);`,
    );
    const friends = Array.from({ length: items }, (_, at) => new User(at, [], []));
    const user = new User(0, names(items), friends);
    return async () => ((await oso.authorizedQuery(user, 'read', Post)) as unknown as Post[]).length;
  };
}

const FLOODS: Readonly<Record<string, Flood>> = {
  'the rest of a list, step by step': decision(
    'ask(xs) if all_ok(xs); all_ok([]); all_ok([first, *rest]) if first in ["a", "b"] and all_ok(rest);',
    items => [tags(items)],
  ),
  'a list in reverse': decision(
    'ask(xs) if reversed(xs, [], ys) and "a" in ys; reversed([], ys, ys); reversed([x, *xs], done, ys) if reversed(xs, [x, *done], ys);',
    items => [tags(items)],
  ),
  'a value in a list': decision('ask(xs) if "c" in xs;', items => [tags(items)]),
  'each of a list in a short one': decision('ask(xs) if forall(x in xs, x in ["b", "a"]);', items => [
    tags(items),
  ]),
  'each of a list in as long a one': decision('ask(xs, ys) if forall(x in xs, x in ys);', items => [
    names(items),
    names(items),
  ]),
  'two lists compared': decision('ask(xs, xs);', items => [names(items), names(items)]),
  'lists in lists compared': decision('ask(xs, xs);', items => [
    tags(items).map(x => [x]),
    tags(items).map(x => [x]),
  ]),
  'a list that is copied at each step': decision(
    'ask(x, xs) if walk(x, xs); walk(_, []); walk(x, [_, *ys]) if "a" in x.tags and walk(x, ys);',
    items => [{ tags: tags(items) }, tags(items)],
  ),
  'conditions that wait for one variable': decision(
    'ask(xs) if above(x, xs) and x = 100000; above(_, []); above(x, [y, *ys]) if x > y and above(x, ys);',
    items => [Array.from({ length: items }, (_, at) => at)],
  ),
  'characters of a text': decision('ask(x) if "c" in x;', items => ['ab'.repeat(items / 2)]),
  'a text of fifty times as many characters': decision('ask(x) if x < "aab" and "c" in x;', items => [
    'a'.repeat(items * 50),
  ]),
  'fifty times as many items': decision('ask(xs) if [_, *rest] = xs and "c" in rest;', items => [
    tags(items * 50),
  ]),
  'the same decision a hundred times at once': async items => {
    const ask = await (FLOODS['a value in a list'] as Flood)(items);
    return async () => (await Promise.all(Array.from({ length: 100 }, ask))).length;
  },
  'as many results': async items => {
    const oso = new CompiledOso();
    await oso.loadStr('allow(_, _, _) if false; ask(x, xs) if x in xs;');
    const xs = tags(items);
    return async () => {
      const { Variable } = await import('oso');
      let results = 0;
      for await (const _ of oso.queryRule({}, 'ask', new Variable('x'), xs)) results++;
      return results;
    };
  },
  'a list: one of the names of the actor': list('d.name in u.names'),
  'a list: none of the names of the actor': list('not (d.name in u.names)'),
  'a list: no name of the actor, each in its own step': list('all(u.names, d)'),
  'a list: of a friend of the actor': list('d.owner in u.friends'),
  'a list: of one of the names and of a friend': list('d.name in u.names and d.owner in u.friends'),
  'a list: of one of the names or of a friend': list('d.name in u.names or d.owner in u.friends'),
};

interface Measured {
  readonly stall: number;
  readonly heap: number;
  readonly took: number;
  readonly answer: string;
}

/** In a process of its own, that was asked for one flood. */
async function measure(flood: Flood, items: number): Promise<Measured> {
  // What is compiled only once is not what is measured.
  const ask = await flood(items);
  for (let warm = 0; warm < 3; warm++) await ask().catch(() => {});
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  let [stall, heap, running] = [0, 0, true];
  let last = performance.now();
  let used = process.cpuUsage();
  const turn = (): void => {
    // A process that has to wait for another uses no processor.
    const { user, system } = process.cpuUsage(used);
    stall = Math.max(stall, Math.min(performance.now() - last, (user + system) / 1000));
    heap = Math.max(heap, process.memoryUsage().heapUsed - before);
    last = performance.now();
    used = process.cpuUsage();
    if (running) setImmediate(turn);
  };
  await new Promise(setImmediate);
  last = performance.now();
  setImmediate(turn);
  const start = performance.now();
  const answer = await ask().then(
    result => String(result),
    error => `${(error as { code?: string }).code ?? error}`,
  );
  const took = performance.now() - start;
  await new Promise(setImmediate);
  running = false;
  return { stall, heap, took, answer };
}

function inProcess(name: string, items: number): Measured {
  const script = fileURLToPath(import.meta.url);
  const output = execFileSync(process.execPath, ['--expose-gc', script, name, String(items)], {
    encoding: 'utf8',
  });
  return JSON.parse(output.slice(output.lastIndexOf('\n{') + 1));
}

const [, , asked, askedItems] = process.argv;
if (asked !== undefined) {
  const measured = await measure(FLOODS[asked] as Flood, Number(askedItems));
  process.stdout.write(`\n${JSON.stringify(measured)}`);
} else {
  const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  const rows = Object.keys(FLOODS).map(name => {
    const rounds = Array.from({ length: ROUNDS }, () => inProcess(name, ITEMS));
    const half = Array.from({ length: ROUNDS }, () => inProcess(name, ITEMS / 2));
    const of = (key: 'stall' | 'heap' | 'took', all: readonly Measured[]) =>
      median(all.map(each => each[key]));
    // Whatever else the machine does only adds to it.
    const stall = Math.min(...rounds.map(each => each.stall));
    return [
      name,
      rounds[0]?.answer ?? '',
      of('took', rounds).toFixed(0),
      `${stall.toFixed(1)}${stall > MOST_MILLISECONDS ? ' (!)' : ''}`,
      megabytes(of('heap', rounds)),
      megabytes(of('heap', half)),
    ];
  });
  table(
    `Floods of ${ITEMS.toLocaleString('en')} items, median of ${ROUNDS} processes; the stall is that of the quietest, and to be at most ${MOST_MILLISECONDS} ms`,
    ['flood', 'answer', 'ms', 'longest stall, ms', 'peak heap, MB', 'of half as many'],
    rows,
  );
}

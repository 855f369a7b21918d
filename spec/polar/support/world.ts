import { type Oso, Relation } from 'oso';

/** Host classes and objects for policies to ask about. Each engine gets a world of its own. */
export interface World {
  readonly constants: Record<string, unknown>;
  register(oso: Oso): void;
}

export class Organization {
  static readonly kind = 'organization';
  constructor(
    readonly name: string,
    readonly open = false,
  ) {}
}

export class Repository {
  constructor(
    readonly name: string,
    readonly organization: Organization,
    readonly isPublic = false,
    readonly tags: string[] = [],
  ) {}
}

export class Issue {
  constructor(
    readonly title: string,
    readonly repository: Repository,
    readonly creator: User,
  ) {}
}

export class Folder {
  constructor(
    readonly name: string,
    readonly parent: Folder | Repository,
  ) {}
}

export interface Role {
  readonly name: string;
  readonly resource: unknown;
}

export class User {
  readonly manager: User | null = null;
  constructor(
    readonly name: string,
    readonly age: number,
    readonly roles: Role[] = [],
  ) {}

  get shout(): string {
    return this.name.toUpperCase();
  }

  get rolesLater(): Promise<Role[]> {
    return Promise.resolve(this.roles);
  }

  get broken(): never {
    throw new RangeError('the host failed');
  }

  get typeBroken(): never {
    throw new TypeError('the host failed with a TypeError');
  }

  get refused(): Promise<never> {
    return Promise.reject(new RangeError('the promise was rejected'));
  }

  get eventually(): PromiseLike<string> {
    // biome-ignore lint/suspicious/noThenProperty: something to await that is no promise.
    return { then: resolve => Promise.resolve('then').then(resolve) };
  }

  isNamed(name: string): boolean {
    return this.name === name;
  }

  add(left: number, right: number): number {
    return left + right;
  }

  async isNamedLater(name: string): Promise<boolean> {
    return this.name === name;
  }

  echo(value: unknown): unknown {
    return value;
  }

  fails(): never {
    throw new RangeError('the method failed');
  }

  failsWithType(): never {
    throw new TypeError('the method failed with a TypeError');
  }

  *names(): Generator<string> {
    yield this.name;
    yield this.shout;
  }

  async *namesLater(): AsyncGenerator<string> {
    yield this.name;
    yield this.shout;
  }
}

export class Admin extends User {}
export class SuperAdmin extends Admin {}
/** Never registered. */
export class Guest extends User {}

export class Money {
  constructor(
    readonly amount: number,
    readonly currency = 'EUR',
  ) {}

  valueOf(): number {
    return this.amount;
  }
}

export class Looping implements Iterable<number> {
  constructor(readonly limit: number) {}
  *[Symbol.iterator](): Generator<number> {
    for (let number = 0; number < this.limit; number++) yield number;
  }
}

export class LoopingLater implements AsyncIterable<number> {
  constructor(readonly limit: number) {}
  async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    for (let number = 0; number < this.limit; number++) yield number;
  }
}

export class Even {}

/** Made from a dictionary, of which any field may be missing. */
export class Vehicle {
  readonly kind: unknown;
  readonly maker: unknown;
  readonly model: unknown;
  constructor({ kind, maker, model }: { kind?: unknown; maker?: unknown; model?: unknown }) {
    this.kind = kind;
    this.maker = maker;
    this.model = model;
  }
}

/** Neither less than, equal to nor greater than anything. */
export class Incomparable {
  valueOf(): number {
    return Number.NaN;
  }
}

export class Letters implements Iterable<string> {
  static sum(numbers: number[]): number {
    return numbers.reduce((left, right) => left + right, 0);
  }
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  joined(by: string): string {
    return [...this.#text].join(by);
  }
  [Symbol.iterator](): Iterator<string> {
    return this.#text[Symbol.iterator]();
  }
}

export class Team {
  constructor(
    readonly id: number,
    readonly name: string,
  ) {}
}

export class Player {
  constructor(
    readonly name: string,
    readonly teamId: number,
  ) {}
}

/** An iterator that is its own iterable, and keeps its state in itself. */
function countFrom(first: number, last: number): IterableIterator<number> & { at: number } {
  return {
    at: first,
    next() {
      return this.at > last ? { done: true, value: undefined } : { done: false, value: this.at++ };
    },
    [Symbol.iterator]() {
      return this;
    },
  };
}

function countLater(last: number): AsyncIterator<number> {
  let at = 0;
  return {
    next: async () => (at < last ? { done: false, value: ++at } : { done: true, value: undefined }),
  };
}

export function makeWorld(): World {
  const acme = new Organization('acme', true);
  const globex = new Organization('globex');
  const engine = new Repository('engine', acme, false, ['core', 'fast']);
  const site = new Repository('site', acme, true);
  const secret = new Repository('secret', globex);
  const top = new Folder('top', engine);
  const inner = new Folder('inner', new Folder('middle', top));
  const alice = new User('alice', 34, [{ name: 'owner', resource: acme }]);
  const bob = new User('bob', 19, [
    { name: 'member', resource: acme },
    { name: 'owner', resource: globex },
  ]);
  const carol = new User('carol', 71);
  const admin = new Admin('root', 50);
  const superAdmin = new SuperAdmin('superroot', 51);
  const guest = new Guest('guest', 1);
  const issue = new Issue('broken', engine, carol);
  const teams = [new Team(1, 'red'), new Team(2, 'blue'), new Team(3, 'red')];
  const constants: Record<string, unknown> = {
    acme,
    globex,
    engine,
    site,
    secret,
    top,
    inner,
    alice,
    bob,
    carol,
    admin,
    superAdmin,
    guest,
    issue,
    plain: {
      name: 'plain',
      nested: { deep: [1, [2, 3]] },
      list: ['a', 'b'],
      missing: undefined,
      nothing: null,
    },
    bare: Object.assign(Object.create(null), { name: 'bare' }),
    five: new Money(5),
    seven: new Money(7),
    sevenToo: new Money(7),
    someList: [1, 'two', [3, 4], alice],
    emptyList: [],
    someMap: new Map<string, unknown>([
      ['a', 1],
      ['b', [2]],
    ]),
    someSet: new Set(['x', 'y', 'z', 'x']),
    loop: new Looping(3),
    loopLater: new LoopingLater(3),
    promised: Promise.resolve(alice),
    promisedList: [Promise.resolve(1), 2],
    nothing: undefined,
    symbol: Symbol('symbol'),
    big: 12345678901234567890n,
    pi: 3.14,
    notANumber: Number.NaN,
    endless: Number.POSITIVE_INFINITY,
    when: new Date(0),
    double: (number: number) => number * 2,
    red: teams[0],
    ann: new Player('ann', 2),
    lost: new Player('lost', 9),
    truth: true,
    word: 'word',
    van: new Vehicle({ kind: 'car', maker: 'acme', model: 'van' }),
    kart: new Vehicle({ kind: 'car', maker: 'acme', model: 'kart' }),
    car: new Vehicle({ kind: 'car', maker: 'acme' }),
    bike: new Vehicle({ kind: 'bike' }),
    thing: new Vehicle({}),
    inherited: Object.create({ kind: 'car' }),
    incomparable: new Incomparable(),
    letters: new Letters('abc'),
    negative: Number.NEGATIVE_INFINITY,
    toolbox: {
      generator: function* (): Generator<number> {
        yield 1;
        yield 2;
      },
      generatorLater: async function* (): AsyncGenerator<number> {
        yield 1;
        yield 2;
      },
      list: () => [1, 2],
      listLater: async () => [1, 2],
      iterator: () => [1, 2].values(),
      iteratorOnce: [1, 2].values(),
      iteratorLater: { [Symbol.asyncIterator]: () => countLater(2) },
      nextOnly: { next: () => ({ value: 1, done: false }) },
      withThis: countFrom(1, 3),
      map: new Map([[1, 'one']]),
      undefined: undefined,
      null: null,
      object: { x: [1, 2] },
    },
  };
  return {
    constants,
    register(oso) {
      oso.registerClass(Organization);
      oso.registerClass(Repository);
      oso.registerClass(Issue);
      oso.registerClass(Folder);
      oso.registerClass(User);
      oso.registerClass(Admin);
      oso.registerClass(SuperAdmin);
      oso.registerClass(Money);
      oso.registerClass(Looping);
      oso.registerClass(Vehicle);
      oso.registerClass(Incomparable);
      oso.registerClass(Letters);
      oso.registerClass(Even, {
        isaCheck: (value: unknown) => typeof value === 'number' && value % 2 === 0,
      });
      oso.registerClass(Team, { fields: { id: Number, name: String } });
      oso.registerClass(Player, {
        fields: {
          name: String,
          team: new Relation('one', 'Team', 'teamId', 'id'),
          rivals: new Relation('many', 'Team', 'teamId', 'id'),
        },
      });
      oso.setDataFilteringAdapter({
        buildQuery: filter => filter.conditions,
        executeQuery: async (conditions: unknown) => {
          const [[condition]] = conditions as [[{ rhs: { value: unknown } }]];
          return teams.filter(({ id }) => id === condition.rhs.value);
        },
      });
      for (const [name, value] of Object.entries(constants)) oso.registerConstant(value, name);
    },
  };
}

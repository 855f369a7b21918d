import fc from 'fast-check';
import type { Case, Question, RuleArgument } from './engines.js';
import { hostile } from './hostile.js';

/** Rules may call these; each is defined by a rule that never succeeds, so that no call is to an undefined rule. */
const DEFINED = 'f() if false; f(_) if false; f(_, _) if false; g() if false; h() if false; ';

function policyCase([rules, asked]: [string[], Question[]]): Case {
  return { policy: `${DEFINED}${rules.join('\n')}`, questions: asked };
}

const variables = ['x', 'y', 'z'] as const;
const variable = fc.constantFrom(...variables);
const objects = fc.constantFrom(
  'alice',
  'bob',
  'admin',
  'superAdmin',
  'guest',
  'engine',
  'acme',
  'plain',
  'nil',
  'five',
  'seven',
  'sevenToo',
  'nothing',
);
const number = fc.constantFrom('0', '1', '2', '3', '-1', '1.0', '1.5', '2.0', '10');
const text = fc.constantFrom('"a"', '"b"', '"alice"', '"owner"', '""', '"ab"');
const primitive = fc.oneof(
  { weight: 4, arbitrary: number },
  { weight: 3, arbitrary: text },
  { weight: 1, arbitrary: fc.constantFrom('true', 'false', 'nan', 'inf') },
);

function value(depth: number): fc.Arbitrary<string> {
  const leaf = fc.oneof(
    { weight: 5, arbitrary: primitive },
    { weight: 6, arbitrary: variable },
    { weight: 3, arbitrary: objects },
    { weight: 1, arbitrary: fc.constant('_') },
  );
  if (depth === 0) return leaf;
  const inner = value(depth - 1);
  return fc.oneof(
    { weight: 8, arbitrary: leaf },
    { weight: 2, arbitrary: fc.array(inner, { maxLength: 3 }).map(items => `[${items.join(', ')}]`) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.array(inner, { maxLength: 2 }), variable)
        .map(([items, rest]) => `[${[...items, `*${rest}`].join(', ')}]`),
    },
    { weight: 1, arbitrary: dictionary(inner) },
  );
}

function dictionary(inner: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'name'), inner), {
      maxLength: 3,
      selector: ([name]) => name,
    })
    .map(fields => `{${fields.map(([name, field]) => `${name}: ${field}`).join(', ')}}`);
}

const attribute = fc.constantFrom(
  'name',
  'age',
  'roles',
  'rolesLater',
  'manager',
  'missing',
  'shout',
  'tags',
  'a',
  'b',
  'nested.deep',
  'organization',
  'organization.name',
  'amount',
  'isPublic',
  'typeBroken',
  'list',
  'eventually',
  'constructor',
  'team',
);

function receiver(): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 4, arbitrary: variable },
    { weight: 4, arbitrary: objects },
    { weight: 1, arbitrary: dictionary(value(0)) },
  );
}

const lookUp = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(receiver(), attribute).map(([object, name]) => `${object}.${name}`) },
  { weight: 1, arbitrary: fc.tuple(receiver(), value(0)).map(([object, arg]) => `${object}.echo(${arg})`) },
  {
    weight: 1,
    arbitrary: fc.tuple(receiver(), value(0)).map(([object, arg]) => `${object}.isNamed(${arg})`),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(receiver(), value(0)).map(([object, arg]) => `${object}.isNamedLater(${arg})`),
  },
  { weight: 1, arbitrary: fc.tuple(receiver(), variable).map(([object, name]) => `${object}.(${name})`) },
);

const knownNumber = fc.constantFrom(
  'alice.age',
  'five.amount',
  'alice.name',
  'seven.amount',
  'alice.missing',
  'nil.age',
);

/** A value or a look-up or an arithmetic expression. */
const expression = fc.oneof(
  { weight: 6, arbitrary: value(1) },
  { weight: 3, arbitrary: lookUp },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        // No variables: Oso's engine crashes on arithmetic with one that has no value, within a negation.
        fc.oneof(number, knownNumber),
        fc.constantFrom('+', '-', '*', '/', 'mod', 'rem'),
        fc.oneof(number, knownNumber),
      )
      .map(([left, operator, right]) => `${left} ${operator} ${right}`),
  },
  { weight: 1, arbitrary: fc.tuple(value(0)).map(([amount]) => `new Money(${amount})`) },
);

const iterable = fc.oneof(
  { weight: 4, arbitrary: fc.array(value(1), { maxLength: 3 }).map(items => `[${items.join(', ')}]`) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'someList',
      'someSet',
      'someMap',
      'loop',
      'loopLater',
      'alice.roles',
      'bob.rolesLater',
      'engine.tags',
      '"ab"',
      'alice.names()',
      'alice.namesLater()',
    ),
  },
  { weight: 1, arbitrary: dictionary(value(0)) },
  { weight: 1, arbitrary: expression },
);

const pattern = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'User',
      'Admin',
      'SuperAdmin',
      'Repository',
      'Integer',
      'String',
      'List',
      'Dictionary',
      'Money',
      'Even',
      'Float',
      'Boolean',
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('User', 'Admin', 'Dictionary'), dictionary(value(0)))
      .map(([tag, fields]) => `${tag}${fields}`),
  },
  { weight: 1, arbitrary: dictionary(value(0)) },
  { weight: 1, arbitrary: primitive },
);

const { condition } = fc.letrec<{ condition: string; simple: string }>(tie => ({
  simple: fc.oneof(
    { weight: 6, arbitrary: fc.tuple(expression, expression).map(([left, right]) => `${left} = ${right}`) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(expression, fc.constantFrom('==', '!=', '<', '<=', '>', '>='), expression)
        .map(([left, operator, right]) => `${left} ${operator} ${right}`),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          variable,
          fc.array(primitive, { minLength: 1, maxLength: 3 }),
          variable,
          fc.constantFrom('+', '-', '*', '/', 'mod', 'rem'),
          number,
        )
        .map(
          ([item, items, result, operator, by]) =>
            `${item} in [${items.join(', ')}] and ${item} != "a" and ${result} = ${item} ${operator} ${by}`,
        )
        .map(each => `(${each})`),
    },
    { weight: 4, arbitrary: fc.tuple(value(1), iterable).map(([item, list]) => `${item} in ${list}`) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.oneof(variable, objects, lookUp), pattern)
        .map(([left, right]) => `${left} matches ${right}`),
    },
    { weight: 1, arbitrary: fc.tuple(variable, expression).map(([left, right]) => `${left} := ${right}`) },
    { weight: 5, arbitrary: call() },
    { weight: 1, arbitrary: lookUp },
    { weight: 1, arbitrary: fc.constantFrom('true', 'false', 'x') },
    { weight: 1, arbitrary: fc.constant('cut') },
    {
      weight: 1,
      arbitrary: value(1)
        .map(shown => `print(${shown})`)
        .filter(shown => !/[xyz_]/.test(shown)),
    },
  ),
  condition: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 8, arbitrary: tie('simple') },
    {
      weight: 2,
      arbitrary: fc
        .tuple(tie('condition'), tie('condition'))
        .map(([left, right]) => `(${left} and ${right})`),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(tie('condition'), tie('condition')).map(([left, right]) => `(${left} or ${right})`),
    },
    { weight: 2, arbitrary: tie('condition').map(inner => `not (${inner})`) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(tie('condition'), tie('condition'))
        .map(([each, test]) => `forall(${each}, ${test})`),
    },
  ),
}));

function call(): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.constantFrom('f', 'g', 'h'),
      fc.array(fc.oneof({ weight: 4, arbitrary: value(1) }, { weight: 1, arbitrary: lookUp }), {
        maxLength: 2,
      }),
    )
    .map(([name, args]) => `${name}(${args.join(', ')})`);
}

function parameter(): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 5, arbitrary: variable },
    { weight: 4, arbitrary: primitive },
    { weight: 1, arbitrary: value(1) },
    {
      weight: 3,
      arbitrary: fc.tuple(variable, pattern).map(([name, specializer]) => `${name}: ${specializer}`),
    },
  );
}

/** Rules call only what comes later in this order, so that most policies end; recursion has cases of its own. */
function rule(): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.constantFrom('f', 'g', 'h'),
      fc.array(parameter(), { maxLength: 2 }),
      fc.array(condition, { maxLength: 4 }),
    )
    .map(([name, parameters, body]) => {
      const head = `${name}(${parameters.join(', ')})`;
      const later = body.map(text => withoutEarlierCalls(text, name));
      return tame(later.length > 0 ? `${head} if ${later.join(' and ')};` : `${head};`);
    });
}

function withoutEarlierCalls(text: string, name: string): string {
  if (name === 'f') return text.replace(/\bf\(/g, 'g(');
  if (name === 'g') return text.replace(/\b[fg]\(/g, 'h(');
  return text.replace(/\b[fgh]\(([^()]|\([^()]*\))*\)/g, 'true');
}

/** Oso refuses a variable that occurs only once, unless its name starts with an underscore. */
function tame(text: string): string {
  const names = text.match(/\b[xyz]\b|\b(actor|resource)\b/g) ?? [];
  return text.replace(/\b[xyz]\b|\b(actor|resource)\b/g, name =>
    names.filter(each => each === name).length === 1 ? `_${name}` : name,
  );
}

/** Values as they come from JavaScript. */
const argument: fc.Arbitrary<RuleArgument> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'alice', 'owner', '') },
  { weight: 3, arbitrary: fc.constantFrom(0, 1, 2, 3, -1, 1.5, -0, 2 ** 53) },
  { weight: 1, arbitrary: fc.constantFrom(true, false, null, Number.NaN) },
  { weight: 5, arbitrary: objects.map(constant => ({ constant })) },
  { weight: 2, arbitrary: fc.constantFrom('x', 'y', '_').map(variable => ({ variable })) },
  { weight: 6, arbitrary: hostile.map(value => ({ hostile: value })) },
  {
    weight: 1,
    arbitrary: fc.array(
      fc.oneof(
        fc.constantFrom('a', 1),
        hostile.map(value => ({ hostile: value })),
        objects.map(constant => ({ constant })),
      ),
      {
        maxLength: 2,
      },
    ),
  },
);

function ruleQuestion(...rules: readonly string[]): fc.Arbitrary<Question> {
  return fc.record({
    rule: fc.constantFrom(...rules),
    args: fc.array(argument, { maxLength: 3 }),
    once: fc.boolean(),
  });
}

/** Facts, asked from JavaScript and from a rule. */
function factsCase(): fc.Arbitrary<Case> {
  const constant = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('"a"', '"b"', '"alice"', '""', '"1"') },
    { weight: 2, arbitrary: fc.constantFrom('0', '1', '-1', '1.5', '1.0') },
    { weight: 1, arbitrary: fc.constantFrom('true', 'false', 'nan', 'nil', 'alice', '_') },
  );
  const fact = fc
    .tuple(fc.constantFrom('f', 'g'), fc.array(constant, { minLength: 1, maxLength: 3 }))
    .map(([name, constants]) => `${name}(${constants.join(', ')});`);
  const extra = fc.constantFrom(
    '',
    'g(x, y) if x = y;',
    'f(x: User) if x.name = "alice";',
    'f(x) if cut and x = "a";',
    'g(x: Integer, _y) if x > 0;',
    'g("a", y) if y = 1;',
    'f("b") if not g(1); g("a", 1) if true; g(x, "b") if x = 1;',
    'f("b", _) if cut; f(nan); f(1.0, 1);',
  );
  const asked = fc.oneof(
    { weight: 4, arbitrary: ruleQuestion('f', 'g', 'h') },
    { weight: 1, arbitrary: fc.constantFrom('f(x)', 'f(x, y)', 'g(x, 1)', 'h("a")', 'g(x, y, z)') },
  );
  return fc
    .tuple(
      fc.array(fact, { minLength: 1, maxLength: 12 }),
      extra,
      fc.array(asked, { minLength: 1, maxLength: 5 }),
    )
    .map(([facts, rule, questions]) => ({
      policy: `${facts.join('\n')} ${rule} h(x) if f(x) and g(x, x); h(x, y) if y = x and g(x, y); f(1, 2, 3, 4); g(1, 2, 3, 4);`,
      questions,
    }));
}

function questions(): fc.Arbitrary<Question[]> {
  return fc.array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc
          .tuple(fc.constantFrom('f', 'g', 'h'), fc.array(value(1), { maxLength: 2 }))
          .map(([name, args]) => `${name}(${args.join(', ')})`),
      },
      { weight: 2, arbitrary: ruleQuestion('f', 'g', 'h') },
      { weight: 2, arbitrary: condition },
      { weight: 1, arbitrary: fc.tuple(condition, condition).map(([left, right]) => `${left} and ${right}`) },
    ),
    { minLength: 1, maxLength: 4 },
  );
}

const specializer = fc.constantFrom(
  '',
  ': User',
  ': Admin',
  ': SuperAdmin',
  ': Repository',
  ': Integer',
  ': String',
  ': Actor',
  ': Resource',
  ': {name: _}',
  ': User{name: "alice"}',
  ': Even',
  ': Money',
);

/** Rules that differ in their specializers, to see in which order they are tried. */
function classRule(): fc.Arbitrary<string> {
  return fc
    .tuple(specializer, specializer, fc.constantFrom('', ' and cut', ' and x = x'), fc.nat(9))
    .map(
      ([first, second, end, number]) =>
        `f(x${first}, y${second}, n) if n = ${number} and [x, y] = [x, y]${end};`,
    );
}

/** Impostors first, and then those whose class they claim: nothing may be remembered of the former for the latter. */
function classQuestions(): fc.Arbitrary<Question[]> {
  const impostor = hostile.map(value => ({ hostile: value }));
  const known = objects.map(constant => ({ constant }));
  const either = fc.oneof(impostor, known);
  return fc.array(
    fc.oneof(
      fc
        .tuple(fc.oneof(objects, primitive), fc.oneof(objects, primitive))
        .map(([x, y]) => `f(${x}, ${y}, n)`),
      fc.record({
        rule: fc.constant('f'),
        args: fc.tuple(either, either, fc.constant({ variable: 'n' })),
        once: fc.constant(false),
      }),
    ),
    { minLength: 1, maxLength: 5 },
  );
}

/** Resource blocks with random roles, permissions and relations. */
function blocksCase(): fc.Arbitrary<Case> {
  const roles = ['r1', 'r2', 'r3'] as const;
  const permissions = ['p1', 'p2'] as const;
  const name = fc.constantFrom(...roles, ...permissions);
  const shorthand = fc.tuple(name, name, fc.constantFrom('', 'parent'));
  const holder = fc.tuple(
    fc.constantFrom('User', 'Admin', 'Actor'),
    fc.constantFrom(...roles),
    fc.constantFrom('Organization', 'Repository', 'Folder'),
    fc.constantFrom(
      '',
      ' if actor.name = "alice"',
      ' if actor.age > 30',
      ' if not actor.name = "bob"',
      ' if "core" in resource.tags',
      ' if role in actor.rolesLater and role.name = "owner"',
    ),
  );
  return fc
    .tuple(
      fc.array(shorthand, { maxLength: 5 }),
      fc.array(shorthand, { maxLength: 5 }),
      fc.array(shorthand, { maxLength: 3 }),
      fc.array(holder, { minLength: 1, maxLength: 4 }),
      fc.array(
        fc.tuple(
          fc.constantFrom('alice', 'bob', 'admin', 'guest', 'nil', 'who'),
          fc.constantFrom('"r1"', '"p1"', '"p2"', 'what', '"none"'),
          fc.constantFrom('acme', 'engine', 'top', 'inner', 'alice'),
          fc.boolean(),
        ),
        { minLength: 1, maxLength: 4 },
      ),
      fc.boolean(),
    )
    .map(([organization, repository, folder, holders, asked, admins]) => {
      const lists = 'roles = ["r1", "r2", "r3"]; permissions = ["p1", "p2"];';
      // Implications lead from later names to earlier ones, so that they do not go round in circles.
      const rules = (all: readonly (readonly [string, string, string])[], parent: boolean): string =>
        [
          ...new Set(
            all.map(([head, implier, on]) =>
              on && parent
                ? `"${head}" if "${implier}" on "parent";`
                : head > implier
                  ? ''
                  : head === implier
                    ? ''
                    : `"${head}" if "${implier}";`,
            ),
          ),
        ]
          .join(' ')
          .replace(/"r(\d)" if "p/g, '"r$1" if "r');
      const policy = `
        actor User {} ${admins ? 'actor Admin {}' : ''}
        resource Organization { ${lists} ${acyclic(rules(organization, false))} }
        resource Repository { ${lists} relations = { parent: Organization }; ${acyclic(rules(repository, true))} }
        resource Folder { ${lists} relations = { parent: Repository }; ${acyclic(rules(folder, true))} }
        has_relation(organization: Organization, "parent", repository: Repository) if organization = repository.organization;
        has_relation(repository: Repository, "parent", folder: Folder) if repository = folder.parent;
        ${holders.map(([actor, role, resource, end]) => tame(`has_role(actor: ${actor}, "${role}", resource: ${resource})${end};`)).join('\n')}
        has_role(_: User, "nobody", _: Organization); has_permission(_: User, "nothing", _: Organization);
        allow(actor, action, resource) if has_permission(actor, action, resource);
        allow(actor, action, resource) if has_role(actor, action, resource);`;
      return {
        policy,
        questions: asked.map(
          ([who, what, which, direct]) => `${direct ? 'allow' : 'has_permission'}(${who}, ${what}, ${which})`,
        ),
      };
    });
}

function acyclic(rules: string): string {
  return rules
    .split(';')
    .filter(each => {
      const local = /"(\w+)" if "(\w+)"$/.exec(each.trim());
      return !local || (local[1] as string) !== (local[2] as string);
    })
    .join(';');
}

/**
 * Random policies and what to ask them. They are small, so that shrinking ends soon, and drawn from few names and values,
 * so that rules meet arguments.
 */
export const randomCase: fc.Arbitrary<Case> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(fc.array(rule(), { minLength: 1, maxLength: 7 }), questions()).map(policyCase),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.array(classRule(), { minLength: 1, maxLength: 8 }), classQuestions())
      .map(policyCase),
  },
  { weight: 3, arbitrary: blocksCase() },
  { weight: 1, arbitrary: factsCase() },
);

import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { registerEntities } from 'koa-oso/kysely';
import { CompiledOso } from 'koa-oso/polar';
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import type { Condition } from '../../src/data-filtering/condition/condition.js';

const README = readFileSync(new URL('../../../src/data-filtering/README.md', import.meta.url), 'utf8');

function block(language: string): string {
  const [, text = ''] = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'ms').exec(README) ?? [];
  return text;
}

class User {
  constructor(readonly id: number) {}
}

class Document {}

class Grant {}

/** PostgreSQL without a connection: queries are compiled, and not run. */
const db = new Kysely<Record<string, Record<string, unknown>>>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: of => new PostgresIntrospector(of),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});

/** An Oso with the entities that the page registers. */
function registered(): CompiledOso {
  const oso = new CompiledOso();
  const given = { registerEntities, oso, db, Document, Grant };
  new Function(...Object.keys(given), block('ts'))(...Object.values(given));
  oso.registerClass(User);
  return oso;
}

describe('The page on how a policy becomes a condition', () => {
  it('shows the condition', async () => {
    const oso = registered();
    let found: Condition | undefined;
    oso.setDataFilteringAdapter({
      select: (_entity: unknown, condition: Condition) => {
        found = condition;
      },
    } as never);
    await oso.loadStr(block('polar'));
    await oso.authorizedQuery(new User(7), 'read', Document);
    expect(`${describeCondition(found as unknown as Condition)}\n`).to.equal(block('txt'));
  });

  it('shows the query', async () => {
    const oso = registered();
    await oso.loadStr(block('polar'));
    const query = (await oso.authorizedQuery(new User(7), 'read', Document)) as {
      compile(): { sql: string; parameters: readonly unknown[] };
    };
    const { sql, parameters } = query.compile();
    expect(sql).to.equal(inOneLine(block('sql')));
    expect(parameters).to.deep.equal([7, 7, true]);
  });
});

function inOneLine(text: string): string {
  return text.trim().replaceAll(/\s+/g, ' ').replaceAll('( ', '(').replaceAll(' )', ')');
}

/** A condition as an indented tree, a line a part. */
function describeCondition(condition: Condition, indent = ''): string {
  const columnOf = ({ row, field }: { row: { number: number }; field: { name: string } }) =>
    `row ${row.number} ${field.name}`;
  switch (condition.kind) {
    case 'and':
    case 'or':
      return [
        `${indent}${condition.kind}`,
        ...condition.conditions.map(each => describeCondition(each, `${indent}  `)),
      ].join('\n');
    case 'compare':
      return `${indent}${columnOf(condition.column)} ${condition.operator} ${condition.value}`;
    case 'exists':
      return [
        `${indent}exists row ${condition.to.number} of ${condition.relation.name}, of row ${condition.from.number}`,
        describeCondition(condition.condition, `${indent}  `),
      ].join('\n');
    default:
      throw new Error(`The page shows no ${condition.kind}`);
  }
}

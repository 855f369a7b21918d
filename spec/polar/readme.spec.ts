import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { CompiledOso } from '../../src/polar/index.js';
import { hoistRule } from '../../src/polar/syntax/hoist.js';
import { parsePolicy } from '../../src/polar/syntax/parser.js';
import { expandBlocks } from '../../src/polar/syntax/resource-blocks.js';
import { PolicySource } from '../../src/polar/syntax/source.js';
import { printRule } from './support/print.js';

const README = readFileSync(new URL('../../../src/polar/README.md', import.meta.url), 'utf8');

function blocks(language: string): string[] {
  return [...README.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(
    ([, text]) => text as string,
  );
}

class User {
  constructor(readonly team: string) {}
}

class Document {
  constructor(readonly team: string) {}
}

describe('The page on how a policy is evaluated', () => {
  const [policy = ''] = blocks('polar');
  const [expanded, hoisted, observed] = blocks('txt');

  it('shows what is made of a block', () => {
    const { rules } = expandBlocks(parsePolicy(new PolicySource(policy)).blocks);
    expect(`${rules.map(printRule).join('\n')}\n`).to.equal(expanded);
  });

  it('shows what is lifted out of a condition', () => {
    const rule = parsePolicy(new PolicySource(policy)).rules.find(({ name }) => name === 'has_role');
    expect(rule && `${printRule(hoistRule(rule))}\n`).to.equal(hoisted);
  });

  it('shows what happens on the way to a decision', async () => {
    const lines = ['id  parent'];
    const oso = new CompiledOso({
      observer: ({ kind, id, parent, lookup, place }) => {
        const at = place === undefined ? '' : `line ${place.line}`;
        const ids = `${String(id || '').padStart(2)}  ${(parent ? `of ${parent}` : '').padEnd(8)}`;
        const what = lookup ? `${kind.padEnd(11)}(lookup)` : kind;
        lines.push(`${ids}${(place?.rule ?? '').padEnd(16)}${at.padEnd(9)}${what}`);
      },
    });
    oso.registerClass(User);
    oso.registerClass(Document);
    await oso.loadStr(policy);
    expect(await oso.isAllowed(new User('blue'), 'read', new Document('blue'))).to.equal(true);
    expect(`${lines.join('\n')}\n`).to.equal(observed);
    expect(oso.fallbacks).to.deep.equal([]);
  });
});

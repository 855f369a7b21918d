import { expect } from 'chai';
import { Oso } from 'oso';
import { readPolicy } from '../../../src/polar/compile/policy.js';
import { PolicySource } from '../../../src/polar/syntax/source.js';

/** Policies with a mistake that Oso refuses. */
const MISTAKEN = [
  'f("open',
  'f(1) ~ g(2);',
  'f(1)',
  'f(1;',
  'f(1',
  'f(1,);;',
  'f() if ;',
  'f(x) if x = ;',
  'f(x) if x = (1;',
  'f(x) if x in [1, 2;',
  'f(x) if x in [*];',
  'f(x) if x = {a: 1;',
  'f(x) if x = {a 1};',
  'f(x) if x = {1: 1};',
  'f(x) if x.;',
  'f(x) if x.(1);',
  'f(x) if not;',
  'f(x) if forall(x = 1);',
  'f(x) if forall(x = 1, x = 1;',
  'f(x) if new;',
  'f(x) if new x;',
  'f(x: ) if x = 1;',
  'f(x: {a: }) if x = 1;',
  '?= ;',
  '?= f(1)',
  'if f(1);',
  'type ;',
  'type f(x: Integer)',
  'resource {}',
  'actor User',
  'actor User {',
  'actor User { roles }',
  'actor User { roles = ; }',
  'actor User { roles = ["a"] }',
  'actor User { roles = ["a", ]; ',
  'actor User { permissions = {a: User}; }',
  'actor User { relations = ["a"]; }',
  'actor User { relations = { a: ; }; }',
  'actor User { roles = ["a"]; roles = ["b"]; }',
  'actor User { roles = ["a"]; "b" if "a"; }',
  'actor User { roles = ["a"]; "a" if "b"; }',
  'actor User { roles = ["a"]; "a" if "a" on "parent"; }',
  'actor User { roles = ["a"]; "a" if ; }',
  'actor User { roles = ["a"]; "a" "a"; }',
  'actor User { roles = ["a"]; "a" if "a" on ; }',
  'actor User {} resource Repo { roles = ["a"]; relations = { parent: User }; "a" if "b" on "parent"; }',
  'actor User {} resource Repo { roles = ["a"]; relations = { parent: Repo }; "a" if "c" on "parent"; }',
  'actor User {} resource Repo { roles = ["a"]; relations = { parent: Absent }; "a" if "a" on "parent"; }',
];

describe('readPolicy', () => {
  for (const text of MISTAKEN) {
    it(`makes no rule of what Oso refuses: ${text}`, async () => {
      const oso = new Oso();
      for (const name of ['User', 'Repo'])
        oso.registerClass({ [name]: class {} }[name] as new () => object, { name });
      const refusal = await oso.loadStr(text).then(
        () => undefined,
        (error: Error) => error,
      );
      expect(refusal, 'Oso loads it').to.be.instanceOf(Error);
      const read = readPolicy([new PolicySource(text, 'spec.polar')]);
      expect('reason' in read ? 0 : read.rules.size).to.equal(0);
    });
  }
});

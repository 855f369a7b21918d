import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

const program = fileURLToPath(new URL('../support/dead-engine.js', import.meta.url));

/** Runs in a process of its own, for the engine of this one has to live. */
async function run(what: string) {
  const { stdout } = await promisify(execFile)(process.execPath, [program, what]);
  return JSON.parse(stdout);
}

describe("when Oso's WebAssembly engine has died", () => {
  for (const engine of ['Oso', 'CompiledOso']) {
    it(`${engine} goes on, and takes other policies`, async () => {
      const onlyBob = [200, 403, '["1"]', '[]'];
      const seen = await run(engine);
      expect(seen.requests).to.deep.equal(onlyBob);
      expect(seen.errors).to.deep.equal(['ERR_KOA_OSO_FORBIDDEN']);
      expect(seen.broken).to.equal('ERR_KOA_OSO_POLICY_REFUSED');
      expect(seen.afterBroken).to.deep.equal(onlyBob);
      expect(seen.reload).to.match(/^[0-9a-f]{16}$/);
      expect(seen.afterReload).to.deep.equal([403, 200, '[]', '["1"]']);
      expect(seen.secondLoad).to.contain('MultipleLoadError');
      expect(seen.clear).to.equal('done');
      expect(seen.load).to.equal('done');
      expect(seen.afterLoad).to.deep.equal(onlyBob);
      expect(seen.register).to.equal('done');
      expect(seen.made).to.equal(engine);
    }).timeout(60_000);
  }

  it('has a code of its own for the question of which it dies', async () => {
    expect(await run('last')).to.deep.equal({
      status: 500,
      text: 'Internal Server Error',
      codes: ['ERR_KOA_OSO_ENGINE_DEAD'],
    });
  }).timeout(60_000);
});

import { expect } from 'chai';
import { RequestOutcome } from '../src/request-outcome.js';

describe('RequestOutcome', () => {
  /** A check that is refused, and that nobody looks at. */
  async function refuseOne(outcome: RequestOutcome): Promise<void> {
    void outcome.enforce(Promise.reject(new Error('denied')));
    await outcome.settle();
  }

  it('remembers the checks that were refused, until the answer stands', async () => {
    const outcome = new RequestOutcome(() => {});
    await refuseOne(outcome);
    expect(outcome.isEveryRefusalSeen).to.equal(false);
  });

  it('remembers none that is refused later: a connection may stay open for days', async () => {
    const outcome = new RequestOutcome(() => {});
    const late: Error[] = [];
    outcome.close(refusal => late.push(refusal));
    for (let count = 0; count < 3; count++) await refuseOne(outcome);
    expect(outcome.isEveryRefusalSeen).to.equal(true);
    expect(late.map(({ message }) => message)).to.deep.equal(['denied', 'denied', 'denied']);
  });
});

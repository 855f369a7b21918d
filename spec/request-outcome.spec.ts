import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { RequestOutcome } from '../src/request-outcome.js';
import type { ResponseGuard } from '../src/response-guard.js';

describe('RequestOutcome', () => {
  /** In place of the response, what happens to it. */
  function watchedResponse() {
    const happened: string[] = [];
    const guard = {
      isHeadSent: false,
      refuse: ({ message }: Error) => happened.push(`withheld: ${message}`),
      refuseLate: ({ message }: Error) => happened.push(`told: ${message}`),
    };
    return { happened, guard, of: guard as unknown as ResponseGuard };
  }

  /** A check that is refused, and that nobody looks at. */
  async function refuseOne(outcome: RequestOutcome, message = 'denied'): Promise<void> {
    void outcome.enforce(Promise.reject(new Error(message)));
    await outcome.settle();
  }

  it('remembers the checks that were refused, until the answer stands', async () => {
    const { of, happened } = watchedResponse();
    const outcome = new RequestOutcome(of);
    await refuseOne(outcome);
    await refuseOne(outcome, 'denied again');
    expect(outcome.isEveryRefusalSeen).to.equal(false);
    expect(outcome.refusal).to.have.property('message', 'denied');
    expect(happened).to.deep.equal(['withheld: denied']);
  });

  it('remembers none that is refused later, and tells each: a connection may stay open for days', async () => {
    const { of, happened } = watchedResponse();
    const outcome = new RequestOutcome(of);
    outcome.close();
    for (let count = 0; count < 3; count++) await refuseOne(outcome);
    expect(outcome.isEveryRefusalSeen).to.equal(true);
    expect(happened).to.deep.equal(['told: denied', 'told: denied', 'told: denied']);
  });

  it('tells of an answer that nobody looks at, if the answer stands', async () => {
    const { of, happened } = watchedResponse();
    const outcome = new RequestOutcome(of);
    outcome.close();
    await outcome.watch('isAllowed(…)', Promise.resolve(true));
    void outcome.watch('isAllowed(…)', Promise.resolve(true));
    await sleep(1);
    expect(happened).to.have.length(1);
    expect(happened[0]).to.contain('told: Nobody looked at the answer of ctx.oso.isAllowed(…)');
  });

  it('says nothing of what is refused beside an error, until this is sent', async () => {
    const { of, happened, guard } = watchedResponse();
    const outcome = new RequestOutcome(of);
    outcome.closeWithError();
    await refuseOne(outcome, 'beside it');
    guard.isHeadSent = true;
    await refuseOne(outcome, 'after it');
    expect(happened).to.deep.equal(['told: after it']);
  });

  it('ends the one around it as well', async () => {
    const { of, happened } = watchedResponse();
    const outer = new RequestOutcome(of);
    const inner = new RequestOutcome(of, outer);
    await refuseOne(inner);
    expect(outer.refusal).to.have.property('message', 'denied');
    inner.closeWithError();
    outer.close();
    happened.length = 0;
    await refuseOne(inner);
    expect(happened).to.deep.equal(['told: denied']);
  });
});

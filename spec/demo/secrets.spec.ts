import { expect } from 'chai';
import type { Response } from 'supertest';
import { database } from '../../demo/database.js';
import { Credential } from '../../demo/entities/credential.js';
import { people } from '../../demo/seed.js';
import { describeTracker } from './support/expense-tracker.js';

const PATHS = [
  '/session',
  '/organizations',
  '/organizations/1',
  '/organizations/1/expenses',
  '/organizations/1/report',
  '/organizations/2/expenses',
  '/expenses',
  '/expenses/to-approve',
  '/expenses/1',
  '/expenses/3',
  '/reminders',
  '/teams',
];

describeTracker('the password hashes of the users', ({ visitor }) => {
  it('are in no response', async () => {
    const hashes = (await database.manager.find(Credential)).map(({ passwordHash }) => passwordHash);
    expect(hashes).to.have.length(people.length);

    const answers: string[] = [];
    for (const login of [undefined, ...people]) {
      const agent = visitor();
      if (login !== undefined) {
        const { email, password } = login;
        answers.push(whole(await agent.post('/session').send({ email, password }).expect(200)));
      }
      for (const path of PATHS) answers.push(whole(await agent.get(path)));
      for (const action of ['approve', 'reject', 'pay']) {
        answers.push(whole(await agent.post(`/expenses/2/${action}`)));
      }
      const expense = { description: 'Taxi', amountInCents: 1 };
      answers.push(whole(await agent.post('/organizations/1/expenses').send(expense)));
    }
    for (const hash of hashes) {
      const secret = hash.split('$').at(-1) as string;
      for (const answer of answers) expect(answer).not.to.include(secret);
    }
  });
});

function whole({ headers, text }: Response): string {
  return JSON.stringify(headers) + text;
}

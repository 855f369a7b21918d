import { expect } from 'chai';
import supertest from 'supertest';
import { database } from '../../demo/database.js';
import { Credential } from '../../demo/entities/credential.js';
import { Membership } from '../../demo/entities/membership.js';
import { User } from '../../demo/entities/user.js';
import { describeTracker, expectError, userNamed } from './support/expense-tracker.js';

describeTracker('the session', ({ start, visitor, as, givenUser }) => {
  const login = { email: 'mia@acme.example', password: 'mia-demo-password' };

  async function cookieOf(agent: ReturnType<typeof visitor>): Promise<string> {
    const { headers } = await agent.post('/session').send(login).expect(200);
    return (headers['set-cookie'] as unknown as string[]).map(each => each.split(';')[0]).join('; ');
  }

  /** The app as another start with these keys makes it. */
  async function restarted(keys: string) {
    const before = process.env.SESSION_KEYS;
    process.env.SESSION_KEYS = keys;
    try {
      return supertest.agent((await start()).callback());
    } finally {
      if (before === undefined) delete process.env.SESSION_KEYS;
      else process.env.SESSION_KEYS = before;
    }
  }

  async function userWith(cookie: string, agent: ReturnType<typeof visitor>): Promise<string | undefined> {
    const { body } = await agent.get('/session').set('Cookie', cookie).expect(200);
    return body.user?.name;
  }

  it('begins with the right password, and tells who has logged in', async () => {
    const agent = visitor();
    const { id } = await userNamed('Mia');
    const user = { id, name: 'Mia', email: login.email };
    const response = await agent.post('/session').send(login);
    expect(response.body).to.deep.equal({ user });
    expect(response.status).to.equal(200);
    expect((await agent.get('/session')).body).to.deep.equal({ user });
  });

  it('is kept in a signed cookie that scripts and other sites have no use of', async () => {
    const { headers } = await visitor().post('/session').send(login);
    const cookies = headers['set-cookie'] as unknown as string[];
    expect(cookies.map(cookie => cookie.split('=')[0])).to.deep.equal(['expenses', 'expenses.sig']);
    for (const cookie of cookies) expect(cookie).to.match(/; samesite=strict; httponly$/);
  });

  it('does not begin with a wrong password, nor with an unknown email, and does not tell which', async () => {
    for (const wrong of [
      { ...login, password: 'wrong' },
      { ...login, email: 'nobody@acme.example' },
    ]) {
      const response = await visitor().post('/session').send(wrong);
      expectError(response, 401, 'Wrong email or password');
      expect(response.headers).not.to.have.property('set-cookie');
    }
  });

  it('does not begin with another user’s password', async () => {
    const response = await visitor()
      .post('/session')
      .send({ ...login, password: 'max-demo-password' });
    expectError(response, 401, 'Wrong email or password');
  });

  it('takes text only for email and password', async () => {
    const response = await visitor()
      .post('/session')
      .send({ email: { like: '%' }, password: 1 });
    expect(response.status).to.equal(400);
    expect(response.body.error.fields).to.have.keys('email', 'password');
  });

  it('is nobody’s where the cookie was not signed by the server', async () => {
    const { id } = await userNamed('Ada');
    const forged = Buffer.from(JSON.stringify({ userId: id })).toString('base64');
    for (const cookie of [`expenses=${forged}`, `expenses=${forged}; expenses.sig=${'a'.repeat(27)}`]) {
      const response = await visitor().get('/session').set('Cookie', cookie);
      expect(response.body).to.deep.equal({ user: null });
    }
  });

  it('outlives a restart where SESSION_KEYS still names its key, and only there', async () => {
    const cookie = await cookieOf(await restarted('key'));
    expect(await userWith(cookie, await restarted('newer key,key'))).to.equal('Mia');
    expect(await userWith(cookie, await restarted('other key'))).to.equal(undefined);
  });

  it('does not outlive a restart without SESSION_KEYS', async () => {
    const cookie = await cookieOf(await restarted(''));
    expect(await userWith(cookie, await restarted(''))).to.equal(undefined);
  });

  it('ends with DELETE', async () => {
    const agent = visitor();
    await agent.post('/session').send(login).expect(200);
    const response = await agent.delete('/session');
    expect(response.status).to.equal(204);
    expect(response.body).to.deep.equal({});
    expect((await agent.get('/session')).body).to.deep.equal({ user: null });
    expectError(await agent.get('/organizations'), 401, 'Log in first');
  });

  it('ends with the user', async () => {
    const { id } = await givenUser({ name: 'Leo', memberOf: { Acme: 'member' } });
    const leo = await as('Leo');
    await leo.get('/organizations').expect(200);
    await database.manager.delete(Membership, { userId: id });
    await database.manager.delete(Credential, { userId: id });
    await database.manager.delete(User, { id });
    expectError(await leo.get('/organizations'), 401, 'Log in first');
  });
});

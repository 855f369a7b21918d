import { expect } from 'chai';
import { hashPassword, isPassword } from '../../demo/passwords.js';

describe('a password hash', () => {
  it('is of its password alone', async () => {
    const hash = await hashPassword('secret');
    expect(await isPassword('secret', hash)).to.equal(true);
    expect(await isPassword('Secret', hash)).to.equal(false);
    expect(await isPassword('', hash)).to.equal(false);
  });

  it('is salted, and holds no password', async () => {
    const [one, other] = await Promise.all([hashPassword('secret'), hashPassword('secret')]);
    expect(one).not.to.equal(other);
    expect(one).to.match(/^scrypt\$[\w+/=]{24}\$[\w+/=]{44}$/);
    expect(Buffer.from(one, 'base64').includes('secret')).to.equal(false);
  });

  it('matches nothing where there is none', async () => {
    expect(await isPassword('', undefined)).to.equal(false);
    expect(await isPassword('', '')).to.equal(false);
    expect(await isPassword('', 'scrypt$$')).to.equal(false);
  });
});

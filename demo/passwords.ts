import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';

// As strong as the OWASP Password Storage Cheat Sheet asks for, in the variant that takes 16 MiB of memory.
const COST: ScryptOptions = { N: 2 ** 14, r: 8, p: 5 };
const KEY_BYTES = 32;
const SALT_BYTES = 16;

/** Gives salt and hash as `scrypt$salt$hash`, both in base64. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await derive(password, salt);
  return ['scrypt', salt.toString('base64'), key.toString('base64')].join('$');
}

/**
 * Whether `password` is the one that was hashed. Without a hash, for a user who does not exist, the answer is no after
 * the same work, so that the time it takes does not tell who has an account.
 */
export async function isPassword(password: string, hash: string | undefined): Promise<boolean> {
  const [, salt = '', key = ''] = hash?.split('$') ?? [];
  const expected = Buffer.from(key, 'base64');
  const actual = await derive(password, Buffer.from(salt, 'base64'));
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

function derive(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, KEY_BYTES, COST, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

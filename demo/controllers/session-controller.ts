import { IsString, MaxLength } from 'class-validator';
import type { Context } from 'koa';
import { CurrentActor, SkipAuthorization } from 'koa-oso/routing-controllers';
import {
  Body,
  Ctx,
  Delete,
  Get,
  JsonController,
  OnUndefined,
  Post,
  UnauthorizedError,
} from 'routing-controllers';
import { database } from '../database.js';
import { Credential } from '../entities/credential.js';
import type { User } from '../entities/user.js';
import { isPassword } from '../passwords.js';
import { userView } from '../views.js';

class Login {
  @IsString()
  @MaxLength(200)
  email!: string;

  @IsString()
  @MaxLength(200)
  password!: string;
}

@JsonController('/session')
@SkipAuthorization('about nobody but who asks')
export class SessionController {
  @Post()
  async logIn(@Body() { email, password }: Login, @Ctx() ctx: Context) {
    const credential = await database
      .getRepository(Credential)
      .findOne({ where: { user: { email } }, relations: { user: true } });
    const known = await isPassword(password, credential?.passwordHash);
    if (credential === null || !known) throw new UnauthorizedError('Wrong email or password');
    ctx.session = { userId: credential.userId };
    return { user: userView(credential.user) };
  }

  @Get()
  show(@CurrentActor() user: User | null) {
    return { user: user && userView(user) };
  }

  @Delete()
  @OnUndefined(204)
  logOut(@Ctx() ctx: Context) {
    ctx.session = null;
  }
}

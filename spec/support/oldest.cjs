// For mocha --require: resolves Koa and @koa/router to the oldest versions that are promised.
const Module = require('node:module');

const oldest = { koa: 'koa-2', '@koa/router': 'koa-router-13' };
const resolve = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
  return resolve.call(this, oldest[name] ?? name, ...rest);
};

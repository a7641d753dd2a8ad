export { createRouter, type Route, type Endpoint } from './core/route.ts';
export { dialectOf, pathOf } from './core/route.ts';

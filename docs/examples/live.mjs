// Prints what is published on a channel: node live.mjs http://127.0.0.1:8080 KEY CHANNEL
const [url, token, channel] = process.argv.slice(2);
const source = await (await fetch(`${url}/weir.js`)).text();
const { connect } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const weir = connect(url, { token });
process.on('SIGTERM', () => weir.close());
weir.on('state', (state) => console.error(state, weir.transport ?? ''));
weir.on('error', (error) => console.error(error.message));
const options = { since: 0, gap: () => console.error('some messages are gone') };
const subscription = weir.subscribe(channel, options, ({ time, data }) =>
  console.log(new Date(time).toISOString(), JSON.stringify(data)));
await subscription.ready;
await weir.publish(channel, `hello from ${process.pid}`);

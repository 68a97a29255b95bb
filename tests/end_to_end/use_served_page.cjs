// Use the page of a server as people do, and print what was found, as JSON.
// node use_served_page.cjs CHROMIUM AXE ADDRESS TOKEN KNOWN STRANGER
const { chromium } = require('playwright-core');
const fs = require('fs');
const [browserPath, axePath, address, token, known, stranger] = process.argv.slice(2);

async function open(browser, { colours = 'light', width = 1280, locale = 'en', checked = false, touch = false } = {}) {
  // A script cannot be added under the page's own policy.
  const context = await browser.newContext({
    viewport: { width, height: 800 }, colorScheme: colours, locale, bypassCSP: checked, hasTouch: touch,
  });
  const tab = await context.newPage();
  const found = { console: [], violations: [], foreign: [], width: [] };
  tab.on('console', message => found.console.push(message.text()));
  tab.on('pageerror', error => found.console.push(String(error)));
  tab.on('dialog', dialog => { found.console.push(dialog.message()); dialog.dismiss(); });
  tab.on('request', request => {
    if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(address)) found.foreign.push(request.url());
  });
  const check = async () => {
    found.width.push(await tab.evaluate(() => document.documentElement.scrollWidth) <= width);
    if (!checked) return;
    if (!await tab.evaluate(() => Boolean(window.axe))) await tab.addScriptTag({ path: axePath });
    const result = await tab.evaluate(() => axe.run());
    found.violations.push(...result.violations.map(fault => `${fault.id}: ${fault.nodes[0].html.slice(0, 200)}`));
  };
  return { context, tab, found, check };
}

const photo = (name, path) => ({ name, mimeType: 'image/png', buffer: fs.readFileSync(path) });
const answer = tab => tab.locator('#answer').textContent();
const settled = (tab, count) => tab.waitForFunction(
  wanted => [...document.querySelectorAll('#rows td:nth-child(3)')].filter(cell => cell.textContent !== '…').length === wanted,
  count,
);

async function walk(browser, options) {
  const { context, tab, found, check } = await open(browser, { ...options, checked: true });
  await tab.goto(address);
  await tab.waitForSelector('#token-form:not([hidden])');
  await check();
  await tab.keyboard.type(token);
  await tab.keyboard.press('Enter');
  await tab.waitForFunction(() => document.getElementById('classes').textContent.trim());
  await check();
  await tab.setInputFiles('#choose', photo('one.png', known));
  await settled(tab, 1);
  await check();
  await tab.click('#explain');
  await tab.waitForSelector('#explain[aria-pressed="true"]');
  await check();
  await tab.setInputFiles('#choose', [photo('two.png', known), photo('three.png', stranger)]);
  await settled(tab, 3);
  await check();
  found.language = await tab.evaluate(() => document.documentElement.lang);
  await context.close();
  return found;
}

// Bring photos in each way; files from the page's own code stand for those of the desktop and the clipboard.
async function bring(tab, kind, path) {
  await tab.evaluate(([event, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], `${event}.png`, { type: 'image/png' }));
    const options = { bubbles: true, cancelable: true };
    document.body.dispatchEvent(event === 'paste'
      ? new ClipboardEvent('paste', { ...options, clipboardData: data })
      : new DragEvent('drop', { ...options, dataTransfer: data }));
  }, [kind, [...fs.readFileSync(path)]]);
}

async function use(browser) {
  const { context, tab, found } = await open(browser, { width: 375, touch: true });
  await tab.goto(`${address}#token=${token}`);
  await tab.waitForFunction(() => document.getElementById('classes').textContent.trim());
  found.address = tab.url();
  found.camera = await tab.locator('#camera').getAttribute('capture');
  // By keyboard: the choice of photos is the first stop after the links.
  const chooser = tab.waitForEvent('filechooser');
  while (await tab.evaluate(() => document.activeElement.id) !== 'choose') await tab.keyboard.press('Tab');
  await tab.keyboard.press('Enter');
  await (await chooser).setFiles(photo('=cmd("x"),<img src=x onerror=alert(1)>.png', known));
  await settled(tab, 1);
  found.chosen = await answer(tab);
  found.bars = await tab.locator('#bars li').count();
  found.status = await tab.locator('#status').textContent();
  await bring(tab, 'drop', stranger);
  await settled(tab, 2);
  found.dropped = await answer(tab);
  await bring(tab, 'paste', known);
  await settled(tab, 3);
  found.pasted = await answer(tab);
  while (await tab.evaluate(() => document.activeElement.id) !== 'explain') await tab.keyboard.press('Tab');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('#explain[aria-pressed="true"]');
  found.heat = (await tab.locator('#photo').getAttribute('src')).slice(0, 16);
  const download = tab.waitForEvent('download');
  await tab.click('#download');
  found.csv = fs.readFileSync(await (await download).path(), 'utf8');
  found.injected = await tab.evaluate(() => document.querySelectorAll('main img[onerror], main script').length);
  await tab.click('#clear');
  found.cleared = await tab.locator('#list').isHidden();
  await context.close();
  return found;
}

(async () => {
  const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
  const walks = [];
  for (const colours of ['light', 'dark'])
    for (const width of [1280, 375])
      walks.push(await walk(browser, { colours, width, locale: width === 375 ? 'zh-CN' : 'en' }));
  const used = await use(browser);
  await browser.close();
  console.log(JSON.stringify({ walks, used }));
})();

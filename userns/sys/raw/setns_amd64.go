package raw

const sysSetns = 308

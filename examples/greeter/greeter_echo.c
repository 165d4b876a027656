// SPDX-License-Identifier: GPL-2.0-only
/* Echoes its parameter when it is loaded. */
#include <linux/init.h>
#include <linux/module.h>

#include "version.h"

static char *text = "nothing";
module_param(text, charp, 0444);
MODULE_PARM_DESC(text, "what to echo");

static int __init greeter_echo_init(void)
{
	pr_info("greeter_echo: %s\n", text);
	return 0;
}

static void __exit greeter_echo_exit(void)
{
}

module_init(greeter_echo_init);
module_exit(greeter_echo_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The kpkg authors <kpkg@example.org>");
MODULE_DESCRIPTION("Echoes a parameter to the kernel log");
MODULE_VERSION(GREETER_VERSION);

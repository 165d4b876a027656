// SPDX-License-Identifier: GPL-2.0-only
/* Greets when it is loaded and when it is unloaded. */
#include <linux/init.h>
#include <linux/module.h>

#include "version.h"

static int __init greeter_init(void)
{
	pr_info("greeter: hello from the %s driver, at your service\n", GREETER_FLAVOUR);
	return 0;
}

static void __exit greeter_exit(void)
{
	pr_info("greeter: goodbye\n");
}

module_init(greeter_init);
module_exit(greeter_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The kpkg authors <kpkg@example.org>");
MODULE_DESCRIPTION("Greets the kernel log");
MODULE_VERSION(GREETER_VERSION);

ifneq ($(KERNELRELEASE),)
obj-m := toy.o
toy-y := a.o b.o
else
KDIR ?= /lib/modules/$(shell uname -r)/build
all:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules
endif
